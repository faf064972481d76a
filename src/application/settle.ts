/**
 * Leaves a passage for the state that came of it. What has happened has happened, whether or not the registry has room to say so: with
 * a full disk the row follows as soon as it can. Until then it names the passage, which a next daemon would finish or undo.
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { State } from '../api/index.ts';
import { AppShotError } from '../common/index.ts';
import type { ApplicationChange, ApplicationRecord, Failure } from '../registry/index.ts';
import type { Work } from './context.ts';

/** How often a full disk is tried again, in ms. */
const AGAIN = 250;

const isFull = (error: unknown): boolean => error instanceof AppShotError && error.code === 'NO_SPACE';

const write = async ({ house, record }: Work, state: State, change: ApplicationChange) => {
  const expected = { states: [record.state], epoch: record.epoch };
  const settled = await house.registry.transition(record.aid, expected, state, change);
  if (settled) return settled;
  throw new AppShotError('INTERNAL', { reason: `${record.name} changed hands while it was ${record.state}` });
};

const writeLater = async (work: Work, state: State, change: ApplicationChange): Promise<void> => {
  for (;;) {
    // The daemon may end meanwhile.
    await delay(AGAIN, undefined, { ref: false });
    try {
      await write(work, state, change);
      return;
    } catch (err) {
      if (isFull(err)) continue;
      work.house.log.error({ err, aid: work.record.aid }, 'the outcome of an operation could not be kept');
      return;
    }
  }
};

/** Resolves to the record as it is now, or will be once there is room for it. */
export const settle = async (
  work: Work,
  state: State,
  failure: Failure | null,
  data: Record<string, unknown> = {},
): Promise<ApplicationRecord> => {
  const change = { operation: null, step: null, failure, data };
  try {
    return await write(work, state, change);
  } catch (error) {
    if (!isFull(error)) throw error;
    work.house.log.warn({ err: error, aid: work.record.aid }, 'the registry has no room');
    void writeLater(work, state, change);
    return { ...work.record, ...change, state, data: { ...work.record.data, ...data } };
  }
};
