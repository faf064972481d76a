/** Steps of the first tier of idleness: the processes stand still in memory, off the bridge, until somebody asks for them. */
import { environmentOf } from '../context.ts';
import type { Executor } from './executor.ts';

export const freeze: Executor = {
  run: async (work) => environmentOf(work).freeze(),
  undo: async (work) => environmentOf(work).thaw(),
};

export const thaw: Executor = {
  run: async (work) => environmentOf(work).thaw(),
};
