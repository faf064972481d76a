/** The rows of what an application has from its registration on: they come from the registry, and stay while it sleeps. */
import { isIPv6 } from 'node:net';
import type { BoundPort, PublishedPort, Registered } from './facts.ts';
import { SHARED_MEMORY } from './places.ts';
import type { Row } from './table.ts';

/** The namespaces of what runs, as /proc/PID/ns names them; undefined for what sleeps. */
export type NamespaceName = ((type: 'ipc' | 'net' | 'time' | 'uts') => string) | undefined;

export const addressRows = ({ address, mac, network, link }: Registered): Row[] => [
  {
    virtual: address,
    also: [mac],
    system: link ? `${network}:${link.index}` : null,
    objects: link ? [link.name] : [],
    since: 'registration',
    note: link ? 'network and interface that it is behind' : 'no interface: its first packet wakes it',
  },
];

export const hostnameRows = ({ hostname, address }: Registered, namespace: NamespaceName): Row[] => [
  { virtual: hostname, system: namespace?.('uts') ?? null, since: 'registration', note: address },
];

const portText = ({ protocol, address, port }: BoundPort): string =>
  `${protocol}:${isIPv6(address) ? `[${address}]` : address}:${port}`;

/** The address itself, then any IPv4 address, then any address at all: the first that is bound gets its packets. */
const RANKS = ['', '0.0.0.0', '::'];

const publishedText = ({ protocol, address, port }: PublishedPort): string =>
  `${protocol}:${address === undefined ? '' : `${address}:`}${port}`;

/**
 * What is bound to the application's address can be reached by it, awake or asleep, so that is its name outside. The rest is known by
 * the namespace that it is bound in.
 */
export const portRows = (
  bound: readonly BoundPort[],
  { address, published }: Registered,
  namespace: NamespaceName,
): Row[] => {
  const rank = (one: BoundPort): number => {
    const found = RANKS.indexOf(one.address === address ? '' : one.address);
    return found < 0 ? RANKS.length : found;
  };
  const rows = new Map<string, Row>();
  const taken = new Set<string>();
  for (const one of bound.toSorted((a, b) => rank(a) - rank(b))) {
    const { protocol, port } = one;
    const virtual = portText(one);
    const reached = portText({ protocol, address, port });
    // Several sockets may share a port, and then share its name.
    if (rows.has(virtual)) continue;
    const isReached = rank(one) < RANKS.length && !taken.has(reached);
    if (isReached) taken.add(reached);
    const objects = published
      .filter((each) => isReached && each.protocol === protocol && each.target === port)
      .map(publishedText);
    const system = isReached ? reached : namespace ? `${namespace('net')}:${virtual}` : null;
    rows.set(virtual, { virtual, system, objects, since: 'allocation' });
  }
  const waiting = Map.groupBy(published, ({ protocol, target }) =>
    portText({ protocol, address, port: target }),
  );
  for (const [reached, ports] of waiting)
    if (!taken.has(reached))
      rows.set(reached, {
        ...{ virtual: reached, system: reached, since: 'registration' },
        ...{ objects: ports.map(publishedText), note: 'published; nothing listens' },
      });
  return [...rows.values()];
};

/**
 * One row for each place outside; those that lead to the same one are names of it. What is looked up twice counts as it was at first:
 * files change meanwhile.
 */
const unified = (rows: readonly Row[]): Row[] => {
  const seen = new Set<string>();
  const distinct = rows.filter(({ virtual }) => !seen.has(virtual) && seen.add(virtual));
  const places = Map.groupBy(distinct, ({ system, virtual }) => system ?? `inside ${virtual}`);
  return [...places.values()].flatMap(([first, ...others]) =>
    first ? [{ ...first, also: others.map(({ virtual }) => virtual) }] : [],
  );
};

export const linkRows = ({ links, redirections, places }: Registered): Row[] =>
  unified([
    ...links.map(({ path, target }): Row => ({
      virtual: path,
      system: places.toMachine(target) ?? null,
      since: 'registration',
      note: `symbolic link to ${target}`,
    })),
    ...redirections.map(({ from, to }): Row => ({
      virtual: from,
      system: places.toMachine(from) ?? null,
      since: 'registration',
      note: `redirection to ${to}`,
    })),
  ]);

/** A path inside that is in use, and what is behind it where that is known. */
export interface UsedPath {
  readonly path: string;
  readonly object?: string | undefined;
}

const ROOTS = ['/', SHARED_MEMORY];

/** Where the files are: what AppShot put into the root, and what is in use. What is no file of this machine is left out. */
export const pathRows = (used: readonly UsedPath[], { places, volumes }: Registered): Row[] => {
  const rowOf = (since: Row['since'], { path, object }: UsedPath): Row[] => {
    const system = places.toMachine(path);
    return system === undefined
      ? []
      : [{ virtual: path, system, since, objects: object === undefined ? [] : [object] }];
  };
  return unified([
    ...[...ROOTS, ...volumes].flatMap((path) => rowOf('registration', { path })),
    ...used.flatMap((one) => rowOf('allocation', one)),
  ]);
};

/** `sem.NAME` is how the C library keeps the semaphore NAME. Source: sem_overview(7). */
export const sharedMemoryRows = ({ places }: Registered): Row[] =>
  places.sharedMemory().flatMap((name) => {
    const path = `${SHARED_MEMORY}/${name}`;
    const system = places.toMachine(path);
    if (system === undefined) return [];
    const isSemaphore = name.startsWith('sem.');
    const virtual = isSemaphore ? `posix-sem:/${name.slice('sem.'.length)}` : `posix-shm:/${name}`;
    return [{ virtual, system, since: 'allocation' as const, note: path }];
  });
