/** Steps that end an application: the gateway takes its leave, SIGTERM to every process of its chain, a while to obey; then SIGKILL. */
import { setTimeout as delay } from 'node:timers/promises';
import { environmentOf } from '../context.ts';
import { depart, farewell } from '../farewell.ts';
import type { Executor } from './executor.ts';

const SIGTERM = 15;

export const terminate: Executor = {
  run: async (work) => {
    const environment = environmentOf(work);
    const ended = Promise.withResolvers<boolean>();
    environment.on({ chainEnded: () => ended.resolve(true) });
    await farewell(work);
    await environment.signal(SIGTERM);
    const patience = new AbortController();
    const late = delay(work.graceMs ?? 0, false, { signal: patience.signal }).catch(() => false);
    await Promise.race([ended.promise, late]).finally(() => patience.abort());
  },
};

/** Ends the processes that are left: a chain may end before its last process does. */
export const leave: Executor = { run: depart };
