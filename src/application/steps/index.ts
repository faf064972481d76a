/** Every step has an executor: a missing one does not compile. */
import type { Step } from '../states.ts';
import { connect, environment, files, identity, launch, root } from './begin.ts';
import type { Executor } from './executor.ts';
import { freeze, thaw } from './freeze.ts';
import { save } from './save.ts';
import { check, commit, disconnect, end, keep, settle } from './sleep.ts';
import { record, resume } from './snapshot.ts';
import { leave, terminate } from './stop.ts';
import { restore, verify } from './wake.ts';

export const EXECUTORS: Record<Step, Executor> = {
  files,
  check,
  settle,
  disconnect,
  save,
  commit,
  keep,
  record,
  resume,
  verify,
  environment,
  root,
  identity,
  launch,
  restore,
  connect,
  freeze,
  thaw,
  terminate,
  leave,
  end,
};
