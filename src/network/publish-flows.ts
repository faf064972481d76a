/** What the kernel recorded of connections through published ports, and which of its records must go. Pure. */
import type { SocketName, TcpState, TrackedConnection } from '../kernel/index.ts';
import { keyOf } from './publish-rules.ts';
import type { PublishedPort } from './publish-rules.ts';

/** A connection through a published port: what the client calls the first port, the kernel brings to the second. */
export interface Translation {
  readonly protocol: 'tcp' | 'udp';
  readonly client: SocketName;
  /** Of this machine, as the client sees it. */
  readonly first: SocketName;
  /** Of the instance. */
  readonly second: SocketName;
  /** What the instance takes for the client: itself, or this machine on behalf of clients whose address would not lead back. */
  readonly seen: SocketName;
  readonly state: TcpState | 'udp';
  /** Milliseconds since 1970, where the kernel records it (`net.netfilter.nf_conntrack_timestamp`). */
  readonly since?: number;
  /** Seconds until the kernel forgets it when no packet comes. */
  readonly timeout?: number;
}

export const translationOf = (tracked: TrackedConnection): Translation => {
  const { protocol, original, reply, state = 'NONE', since, timeout } = tracked;
  return {
    protocol,
    client: original.source,
    first: original.destination,
    second: reply.source,
    seen: reply.destination,
    state: protocol === 'udp' ? 'udp' : state,
    ...(since === undefined ? {} : { since }),
    ...(timeout === undefined ? {} : { timeout }),
  };
};

/** Published ports by what tells them apart. */
export type Ports = ReadonlyMap<string, PublishedPort>;

const portOf = (ports: Ports, { protocol, original }: TrackedConnection): PublishedPort | undefined =>
  ports.get(keyOf({ protocol, ...original.destination })) ??
  ports.get(keyOf({ protocol, port: original.destination.port }));

/** Whether recorded connections may have to go when a port changes: a target is gone, or there is one again. */
export const mayLose = (before: PublishedPort, now: PublishedPort | undefined): boolean => {
  const targets = now?.targets ?? [];
  if (before.targets.length === 0) return targets.length > 0;
  return !before.targets.every(({ address, port }) =>
    targets.some((target) => target.address === address && target.port === port),
  );
};

/**
 * Whether a recorded connection leads nowhere: its target is gone, and it is no TCP connection that was ever answered. Forgotten, its
 * next packet finds another target; an open TCP connection stays with the instance that has it.
 */
export const isLost = (tracked: TrackedConnection, ports: Ports): boolean => {
  if (tracked.protocol === 'tcp' && tracked.answered) return false;
  const { address, port } = tracked.reply.source;
  const targets = portOf(ports, tracked)?.targets ?? [];
  return !targets.some((target) => target.address === address && target.port === port);
};

/** Whether a UDP sender has been sending to a port since before it was published: its record must go, or it is never translated. */
export const isOlder = (
  { protocol, translated, original: { destination } }: TrackedConnection,
  published: PublishedPort,
  local: ReadonlySet<string>,
): boolean =>
  protocol === 'udp' &&
  !translated &&
  destination.port === published.port &&
  (published.address === undefined
    ? local.has(destination.address) || destination.address.startsWith('127.')
    : published.address === destination.address);
