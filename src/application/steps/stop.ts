/**
 * Steps that end an application: the gateway takes its leave, SIGTERM to every process of its chain, a while to obey, SIGKILL, off the
 * network. It is on the network until its processes are gone: their kernel closes what is open, and nobody waits for an answer in vain.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { environmentOf } from '../context.ts';
import { farewell } from '../farewell.ts';
import type { Executor } from './executor.ts';

const [SIGTERM, SIGKILL] = [15, 9];
/** How long an ended chain may take to be gone. */
const FAREWELL_MS = 1000;

export const terminate: Executor = {
  run: async (work) => {
    const environment = environmentOf(work);
    const ended = Promise.withResolvers<boolean>();
    environment.on({ chainEnded: () => ended.resolve(true) });
    const endsWithin = async (ms: number): Promise<boolean> => {
      const patience = new AbortController();
      const late = delay(ms, false, { signal: patience.signal }).catch(() => false);
      return await Promise.race([ended.promise, late]).finally(() => patience.abort());
    };
    await farewell(work);
    await environment.signal(SIGTERM);
    if (await endsWithin(work.graceMs ?? 0)) return;
    await environment.signal(SIGKILL);
    await endsWithin(FAREWELL_MS);
  },
};

/** Nobody reaches the address any more, and nothing wakes it. */
export const leave: Executor = {
  run: async ({ house, record, environment }) => {
    if (environment) house.networks.disconnect(record.address, environment);
    house.networks.forget(record.address);
  },
};
