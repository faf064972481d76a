/** The words of published ports: who is behind them, and the connections that the kernel translates. */
import { z } from '@hono/zod-openapi';
import { State } from './schemas.ts';

const protocol = z.enum(['tcp', 'udp']);

/** A published port of this machine (the first port), and one that it leads to (the second). */
export const PublishedView = z
  .object({
    protocol,
    /** Of this machine; null for all of its addresses. */
    address: z.string().nullable(),
    port: z.number().int(),
    service: z.string(),
    /** The instance. */
    aid: z.string(),
    name: z.string(),
    state: State,
    /** Of the instance: `10.10.0.2:80`. */
    target: z.string(),
    /** Whether new connections may go to it now. */
    takesNew: z.boolean(),
  })
  .openapi('Published');
export type PublishedView = z.infer<typeof PublishedView>;

/** A connection through a published port, as the kernel has recorded it. Ends of it are like `10.10.0.2:80`. */
export const ConnectionView = z
  .object({
    protocol,
    client: z.string(),
    /** Of this machine, as the client sees it: the first port. */
    first: z.string(),
    /** Of the instance: the second port. */
    second: z.string(),
    /** What the instance takes for the client. */
    seen: z.string(),
    /** Of TCP, as the kernel calls it; `udp` of UDP. */
    state: z.string(),
    /** ISO 8601; null where the kernel does not record it (`net.netfilter.nf_conntrack_timestamp`). */
    since: z.string().nullable(),
    /** The instance; null when it is gone. */
    aid: z.string().nullable(),
    name: z.string().nullable(),
  })
  .openapi('Connection');
export type ConnectionView = z.infer<typeof ConnectionView>;

export const PortsView = z
  .object({ ports: z.array(PublishedView), connections: z.array(ConnectionView) })
  .openapi('Ports');
export type PortsView = z.infer<typeof PortsView>;
