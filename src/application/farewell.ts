/**
 * How an instance leaves. Nobody asks it any more, and what it was asked is answered, as far as that does not take long; then its
 * processes end, and last it leaves the network.
 *
 * In that order each client hears of it at once: the kernel of the processes closes what they have open, as on any machine. Without a network it
 * would tell nobody. `Network.forget` looks after those that it could not tell.
 */
import { setTimeout as pause } from 'node:timers/promises';
import { endsWithin } from '../common/index.ts';
import { networkUse } from '../resources/index.ts';
import { environmentOf } from './context.ts';
import type { Work } from './context.ts';
import { networkOf } from './roster.ts';

/** How long requests under way may take, a WebSocket for example; and how often to look. In ms. */
const PATIENCE_MS = 1000;
const INTERVAL_MS = 5;
/** How long processes that were killed may take to be gone: the kernel takes back their memory before it closes what they have open. */
const END_MS = 10_000;

/** How many connections the gateway has to it, idle ones too, which it closes as soon as it knows. */
const askedBy = (work: Work, gateway: string): number => {
  const ports = new Set(work.record.spec.sites?.map(({ port }) => port));
  const { connections } = networkUse(environmentOf(work).diagnosis);
  return connections.filter(({ localPort, remote }) => remote === gateway && ports.has(localPort)).length;
};

/**
 * Resolves when the gateway has no more connections to it, after a second at the latest. What is still asked then is broken off when its
 * processes end.
 */
export const farewell = async (work: Work): Promise<void> => {
  const { house, record } = work;
  if (!house.gateway || !record.spec.sites?.length) return;
  await house.roster.told();
  const { gateway } = house.networks.named(networkOf(record)).bridge;
  for (const end = performance.now() + PATIENCE_MS; performance.now() < end; await pause(INTERVAL_MS))
    if (askedBy(work, gateway) === 0) return;
};

/** Ends its processes; then nobody reaches the address any more, and nothing wakes it. */
export const depart = async ({
  house: { networks, log },
  record: { aid, address },
  environment,
}: Pick<Work, 'house' | 'record' | 'environment'>): Promise<void> => {
  if (environment) {
    if (!(await endsWithin(environment.end(), END_MS)))
      log.warn({ aid }, 'its processes do not end, and it leaves the network without them');
    networks.disconnect(address, environment);
  }
  networks.forget(address);
};
