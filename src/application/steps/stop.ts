/** Steps that end an application: the gateway takes its leave, SIGTERM to every process of its chain, a while to obey; then SIGKILL. */
import { endsWithin } from '../../common/index.ts';
import { environmentOf } from '../context.ts';
import { depart, farewell } from '../farewell.ts';
import type { Executor } from './executor.ts';

const SIGTERM = 15;

export const terminate: Executor = {
  run: async (work) => {
    const environment = environmentOf(work);
    const ended = Promise.withResolvers<void>();
    environment.on({ chainEnded: () => ended.resolve() });
    await farewell(work);
    await environment.signal(SIGTERM);
    await endsWithin(ended.promise, work.graceMs ?? 0);
  },
};

/** Ends the processes that are left: a chain may end before its last process does. */
export const leave: Executor = { run: depart };
