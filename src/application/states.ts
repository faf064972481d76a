/**
 * The life of an application, and the way from one state to another.
 *
 *     registered -> starting -> running -> sleeping -> asleep -> waking -> running
 *     running -> snapshotting -> running     asleep -> rewinding -> asleep
 *     running -> freezing -> frozen -> thawing -> running
 *     running -> stopping -> stopped         any -> failed -> stopping -> stopped
 *
 * The states in the left column of `PASSAGES` last; those they lead through (`starting`, ...) exist while an operation is
 * under way, and after a crash tell the next daemon what to finish or undo.
 */
import type { State } from '../api/index.ts';
import { AppShotError } from '../common/index.ts';
import type { Operation } from '../registry/index.ts';

/** What an operation does, in order. Each step has an executor, and most an undo (`steps/`). */
export type Step =
  | 'files'
  | 'check'
  | 'settle'
  | 'disconnect'
  | 'save'
  | 'commit'
  | 'keep'
  | 'record'
  | 'resume'
  | 'verify'
  | 'environment'
  | 'root'
  | 'identity'
  | 'launch'
  | 'restore'
  | 'connect'
  | 'freeze'
  | 'thaw'
  | 'terminate'
  | 'leave'
  | 'end';

/** The states that an application can be brought to. */
export type Target = 'running' | 'frozen' | 'asleep' | 'stopped';

export interface Plan {
  readonly operation: Operation;
  /** The state while the steps are taken. */
  readonly through: State;
  readonly steps: readonly Step[];
  readonly to: Target;
}

const RUN: Plan = {
  operation: 'run',
  through: 'starting',
  steps: ['files', 'environment', 'root', 'identity', 'launch', 'connect'],
  to: 'running',
};
const SLEEP: Plan = {
  operation: 'sleep',
  through: 'sleeping',
  steps: ['check', 'settle', 'disconnect', 'save', 'commit', 'end', 'keep'],
  to: 'asleep',
};
const SNAPSHOT: Plan = {
  operation: 'snapshot',
  through: 'snapshotting',
  steps: ['check', 'settle', 'disconnect', 'save', 'record', 'resume'],
  to: 'running',
};
const WAKE: Plan = {
  operation: 'wake',
  through: 'waking',
  steps: ['verify', 'environment', 'root', 'identity', 'restore', 'connect'],
  to: 'running',
};
const FREEZE: Plan = {
  operation: 'freeze',
  through: 'freezing',
  steps: ['settle', 'disconnect', 'freeze'],
  to: 'frozen',
};
const THAW: Plan = { operation: 'thaw', through: 'thawing', steps: ['thaw', 'connect'], to: 'running' };
const STOP: Plan = {
  operation: 'stop',
  through: 'stopping',
  steps: ['terminate', 'leave', 'end'],
  to: 'stopped',
};
/** What is left to do for an application whose processes have ended. */
export const PUT_AWAY: Plan = { ...STOP, steps: ['leave', 'end'] };

const PASSAGES: Partial<Record<State, Partial<Record<Target, Plan>>>> = {
  registered: { running: RUN },
  running: { running: SNAPSHOT, frozen: FREEZE, asleep: SLEEP, stopped: STOP },
  // To stop one thaws it first; stopped while it is frozen are those whose processes somebody has ended.
  frozen: { running: THAW, stopped: PUT_AWAY },
  asleep: { running: WAKE },
  failed: { stopped: PUT_AWAY },
};

const ADVICE: Partial<Record<State, string>> = {
  asleep: 'wake it with `appshot wake`, or remove it with `appshot rm`',
  running: 'put it to sleep with `appshot sleep`, or stop it with `appshot stop`',
  frozen: 'thaw it with `appshot wake`',
  stopped: 'remove it with `appshot rm`, and run it anew',
  failed: '`appshot inspect` shows why; remove it with `appshot rm`, and run it anew',
};

const VERBS: Record<Target, string> = { running: 'wake', frozen: 'freeze', asleep: 'sleep', stopped: 'stop' };

/** The way from a state to a target. Pure. Fails with `WRONG_STATE` where there is none. */
export const plan = (name: string, current: State, target: Target): Plan => {
  const found = PASSAGES[current]?.[target];
  if (found) return found;
  throw new AppShotError('WRONG_STATE', {
    name,
    state: current,
    verb: VERBS[target],
    advice: ADVICE[current] ?? 'wait until that has ended',
  });
};
