/** Steps of the first tier of idleness: the processes stand still in memory, off the bridge, until somebody asks for them. */
import { environmentOf } from '../context.ts';
import { reachableOf } from '../sleepers.ts';
import type { Executor } from './executor.ts';

export const freeze: Executor = {
  run: async (work) => environmentOf(work).freeze(),
  undo: async (work) => environmentOf(work).thaw(),
};

export const thaw: Executor = {
  run: async (work) => environmentOf(work).thaw(),
  undo: async (work) => {
    const { house, record } = work;
    const environment = environmentOf(work);
    house.networks.disconnect(record.address, environment);
    await environment.freeze();
    const reachable = reachableOf({ ...record, state: 'frozen' });
    if (reachable) house.networks.close(record.address, reachable);
  },
};
