/** The part of the HTTP API that makes networks, and shows what is published. */
import { createRoute, z } from '@hono/zod-openapi';
import { NetworkRequest, NetworkView } from './networks.ts';
import { PATHS } from './paths.ts';
import { PortsView } from './ports.ts';
import { body, errors, json } from './route-parts.ts';

const params = z.object({
  network: z
    .string()
    .min(1)
    .openapi({ param: { name: 'network', in: 'path' }, example: 'blue' }),
});

const PortsQuery = z.object({
  /** Only what leads to this application: a name or an AID. */
  app: z.string().min(1).max(64).optional(),
});

export const networkRoutes = {
  listPorts: createRoute({
    ...PATHS.listPorts,
    operationId: 'listPorts',
    summary: 'Published ports with the instances behind them, and the connections that are translated now',
    request: { query: PortsQuery },
    responses: { 200: json(PortsView, 'The ports and connections'), ...errors },
  }),
  listNetworks: createRoute({
    ...PATHS.listNetworks,
    operationId: 'listNetworks',
    summary: "All networks; the daemon's own first, then oldest first",
    responses: { 200: json(z.array(NetworkView), 'The networks'), ...errors },
  }),
  createNetwork: createRoute({
    ...PATHS.createNetwork,
    operationId: 'createNetwork',
    summary: 'Make a network of its own, which no other network reaches',
    request: { body: body(NetworkRequest) },
    responses: { 201: json(NetworkView, 'The network'), ...errors },
  }),
  removeNetwork: createRoute({
    ...PATHS.removeNetwork,
    operationId: 'removeNetwork',
    summary: 'Remove a network that no application belongs to',
    request: { params },
    responses: { 204: { description: 'It is gone' }, ...errors },
  }),
};
