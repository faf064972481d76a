/**
 * One operation from its first registry row to its last: begin, take the steps, settle in the state that came of it.
 */
import { rm } from 'node:fs/promises';
import type { SleepResult, SnapshotResult, State, WakeResult } from '../api/index.ts';
import { AppShotError, toAppShotError } from '../common/index.ts';
import type { Environment } from '../environments/index.ts';
import type { ApplicationRecord, Failure } from '../registry/index.ts';
import type { House, Work } from './context.ts';
import { StepError, takeSteps } from './runner.ts';
import { settle } from './settle.ts';
import { plan } from './states.ts';
import type { Plan, Target } from './states.ts';
import { EXECUTORS } from './steps/index.ts';
import { viewOf } from './views.ts';

export { PUT_AWAY } from './states.ts';

/** Errors of users and causes that need no wrapping: they say themselves what and why. */
const PLAIN = new Set(['NO_SPACE', 'SNAPSHOT_CORRUPT', 'FINGERPRINT_MISMATCH', 'MEMORY_MODE', 'HOOK_FAILED']);

export interface Begun {
  readonly work: Work;
  readonly plan: Plan;
  /** Milliseconds of `performance.now()`. */
  readonly at: number;
}

/** How an operation is to be done, where there is a choice, and where the application runs. */
export type Wishes = Partial<
  Pick<Work, 'memory' | 'retention' | 'force' | 'closeConnections' | 'graceMs' | 'firm'>
> & {
  environment?: Environment | undefined;
};

/** Moves the application into the passage to its target. Fails with `WRONG_STATE` or `BUSY`. */
export const begin = async (
  house: House,
  record: ApplicationRecord,
  target: Target,
  { environment, ...wishes }: Wishes = {},
): Promise<Begun> => {
  const at = performance.now();
  const way = plan(record.name, record.state, target);
  const moved = await house.registry.transition(
    record.aid,
    { states: [record.state], epoch: record.epoch },
    way.through,
    { operation: way.operation, step: null },
  );
  if (!moved) throw new AppShotError('BUSY', { name: record.name, operation: 'another change' });
  house.emit(way.through, moved);
  const work: Work = {
    house,
    record: moved,
    timings: [],
    wanted: false,
    committed: false,
    closers: [],
    ...wishes,
    ...(environment && { environment }),
  };
  return { work, plan: way, at };
};

const failureOf = (step: string, error: AppShotError): Failure => ({
  step,
  code: error.code,
  message: error.message,
  at: new Date().toISOString(),
});

type FailureCode = 'SLEEP_FAILED' | 'WAKE_FAILED' | 'SNAPSHOT_FAILED' | 'FREEZE_FAILED' | 'THAW_FAILED';
const FAILURES: Partial<Record<Plan['operation'], FailureCode>> = {
  sleep: 'SLEEP_FAILED',
  freeze: 'FREEZE_FAILED',
  thaw: 'THAW_FAILED',
  snapshot: 'SNAPSHOT_FAILED',
  wake: 'WAKE_FAILED',
};

const explain = (work: Work, code: FailureCode, step: string, error: AppShotError): AppShotError => {
  if (error.spec.kind === 'mistake' || PLAIN.has(error.code)) return error;
  const { name, aid } = work.record;
  const log = work.house.layout.application(aid).engineLog;
  return new AppShotError(
    code,
    { name, step, reason: error.message, log },
    { cause: error, details: { ...error.details, code: error.code } },
  );
};

/** After a failure whose steps are all undone: back to `state`, with the reason kept and told. Always throws. */
const settleFailure = async ({ work, plan: way }: Begun, state: State, thrown: unknown): Promise<never> => {
  const step = thrown instanceof StepError ? thrown.step : 'begin';
  const cause = toAppShotError(thrown instanceof StepError ? thrown.cause : thrown);
  const error = explain(work, FAILURES[way.operation] ?? 'SLEEP_FAILED', step, cause);
  const record = await settle(work, state, failureOf(step, error));
  work.house.log.warn({ err: error, aid: record.aid, step }, `${way.operation} failed`);
  const reason = error.message;
  work.house.emit(cause.code === 'TURNED_BACK' ? 'turned-back' : `${way.operation}-failed`, record, {
    reason,
  });
  throw error;
};

/**
 * What has been committed is asleep: its processes must go and its files be kept, whatever fails. What is left even so, the next start
 * removes.
 */
const finishSleep = async (work: Work, error: unknown): Promise<void> => {
  const { house, record, taken } = work;
  house.log.error({ err: error, aid: record.aid }, 'a step of a sleep failed that was committed');
  for (const step of ['end', 'keep'] as const)
    await EXECUTORS[step]
      .run(work)
      .catch((err: unknown) => house.log.error({ err, aid: record.aid, step }, 'it failed again'));
  if (taken) house.keeper.settle(taken.id);
};

const takenOf = (work: Work, at: number): Omit<SleepResult, 'state'> => ({
  aid: work.record.aid,
  name: work.record.name,
  snapshot: work.taken?.id ?? '',
  bytes: work.bytes ?? 0,
  frozenMs: work.frozenMs ?? 0,
  parent: work.taken?.parent ?? null,
  ms: performance.now() - at,
  timings: work.timings,
});

/** Puts a running application to sleep. When it fails it runs on. */
export const sleep = async (begun: Begun): Promise<SleepResult> => {
  const { work, plan: way, at } = begun;
  const { environment } = work;
  const held = environment ? work.house.memoryOf(environment.id) : 0;
  try {
    await takeSteps(work, way);
  } catch (error) {
    if (!work.committed) return await settleFailure(begun, 'running', error);
    await finishSleep(work, error);
  }
  const result = { ...takenOf(work, at), state: 'asleep' as const };
  const record = await work.house.registry
    .update(work.record.aid, { operation: null, step: null, data: { lastSleep: result, held } })
    .catch((err: unknown) => {
      // It sleeps, whether or not there is room for saying how long that took.
      work.house.log.error({ err, aid: work.record.aid }, 'the outcome of a sleep could not be kept');
      return work.record;
    });
  work.house.emit('asleep', record, { data: { ms: result.ms, bytes: result.bytes } });
  return result;
};

/** Wakes a sleeping application. When it fails it sleeps on, its snapshot intact. */
export const wake = async (begun: Begun): Promise<{ result: WakeResult; environment: Environment }> => {
  const { work, plan: way, at } = begun;
  try {
    await takeSteps(work, way);
  } catch (error) {
    return await settleFailure(begun, 'asleep', error);
  }
  const ms = performance.now() - at;
  const result: WakeResult = {
    ...viewOf(work.record),
    state: 'running',
    snapshot: work.record.snapshot,
    memory: work.woken ?? null,
    ms,
    timings: work.timings,
  };
  const record = await settle(work, 'running', null, {
    lastWake: result,
    memory: work.woken,
    layers: work.layers,
    closeConnections: undefined,
    ...(work.birth && { unseen: work.birth.unseen }),
    ...(work.force && { forced: work.record.snapshot }),
  });
  work.house.emit('running', record, { data: { ms } });
  return { result: { ...result, ...viewOf(record) }, environment: requireEnvironment(work) };
};

/** Stops the processes of a running application where they are. When it fails it runs on. */
export const freeze = async (begun: Begun): Promise<ApplicationRecord> => {
  const { work, plan: way } = begun;
  try {
    await takeSteps(work, way);
  } catch (error) {
    return await settleFailure(begun, 'running', error);
  }
  const record = await settle(work, 'frozen', null, { reachable: work.reachable });
  work.house.emit('frozen', record);
  return record;
};

/** Lets the processes of a frozen application go on. When it fails they stay frozen. */
export const thaw = async (begun: Begun): Promise<ApplicationRecord> => {
  const { work, plan: way } = begun;
  try {
    await takeSteps(work, way);
  } catch (error) {
    return await settleFailure(begun, 'frozen', error);
  }
  const record = await settle(work, 'running', null);
  work.house.emit('running', record);
  return record;
};

/** Takes a snapshot of an application, which runs on, also when it fails. */
export const snapshot = async (begun: Begun): Promise<SnapshotResult> => {
  const { work, plan: way, at } = begun;
  try {
    await takeSteps(work, way);
  } catch (error) {
    return await settleFailure(begun, 'running', error);
  }
  const { pinned = false, expiresAt = null } = work.retention ?? {};
  const result = { ...takenOf(work, at), state: 'running' as const, pinned, expiresAt };
  const record = await settle(work, 'running', null, { lastSnapshot: result });
  work.house.emit('snapshot', record, { data: { snapshot: result.snapshot, bytes: result.bytes } });
  return result;
};

/** Starts a registered application. When it fails nothing is left of it. */
export const run = async (begun: Begun): Promise<{ record: ApplicationRecord; environment: Environment }> => {
  const { work, plan: way } = begun;
  try {
    await takeSteps(work, way);
  } catch (thrown) {
    await work.house.registry.remove(work.record.aid);
    const error = toAppShotError(thrown instanceof StepError ? thrown.cause : thrown);
    work.house.emit('run-failed', work.record, { reason: error.message });
    throw error;
  }
  const record = await settle(work, 'running', null);
  work.house.emit('running', record);
  return { record, environment: requireEnvironment(work) };
};

const requireEnvironment = ({ environment }: Work): Environment => {
  if (environment) return environment;
  throw new Error('the plan took no environment');
};

/** Ends a running application, or puts away what is left of one that failed. */
export const stop = async (
  { work, plan: way }: Begun,
  state: 'stopped' | 'failed' = 'stopped',
  failure: Failure | null = null,
): Promise<ApplicationRecord> => {
  await takeSteps(work, way);
  const record = await settle(work, state, failure);
  work.house.emit(state, record, failure ? { reason: failure.message } : {});
  return record;
};

/** Removes an application's directories. */
export const removeFiles = async (house: House, { aid }: ApplicationRecord): Promise<void> => {
  await rm(house.layout.application(aid).directory, { recursive: true, force: true });
};
