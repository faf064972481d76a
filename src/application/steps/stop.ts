/** Steps that let an application end by itself: SIGTERM to every process of its chain, a while to obey, off the network. */
import { setTimeout as delay } from 'node:timers/promises';
import { environmentOf } from '../context.ts';
import type { Executor } from './executor.ts';

const SIGTERM = 15;

export const terminate: Executor = {
  run: async (work) => {
    const environment = environmentOf(work);
    const ended = Promise.withResolvers<void>();
    environment.on({ chainEnded: () => ended.resolve() });
    const patience = new AbortController();
    await environment.signal(SIGTERM);
    await Promise.race([
      ended.promise,
      delay(work.graceMs ?? 0, undefined, { signal: patience.signal }).catch(() => undefined),
    ]);
    patience.abort();
  },
};

/** Nobody reaches the address any more, and nothing wakes it. */
export const leave: Executor = {
  run: async ({ house, record, environment }) => {
    if (environment) house.networks.disconnect(record.address, environment);
    house.networks.forget(record.address);
  },
};
