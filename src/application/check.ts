/** What an application holds, and what would keep it from being saved. */
import type { Blocker, Holding, ProcessView } from '../api/index.ts';
import type { Environment } from '../environments/index.ts';
import type { ApplicationRecord } from '../registry/index.ts';
import { blockers, holdings, listProcesses } from '../resources/index.ts';
import type { ResourceInput } from '../resources/index.ts';
import type { House } from './context.ts';
import { isEngine, systemPid } from './processes.ts';

export const inputOf = (
  house: House,
  record: ApplicationRecord,
  environment: Environment,
): ResourceInput => ({
  pids: house
    .processesIn(environment.id)
    .filter((pid) => pid !== environment.pid && !isEngine(house.engine, pid)),
  initPid: environment.pid,
  rootPid: systemPid(house, environment, Number(record.data['rootPid'])),
  diagnosis: environment.diagnosis,
});

/** Everything that would block a snapshot; empty when nothing does. */
export const findBlockers = (
  house: House,
  record: ApplicationRecord,
  environment: Environment,
): readonly Blocker[] => blockers(inputOf(house, record, environment));

/** What is tracked for a running application (mission A12). */
export const describeResources = (
  house: House,
  record: ApplicationRecord,
  environment: Environment,
): { processes: readonly ProcessView[]; resources: readonly Holding[] } => {
  const input = inputOf(house, record, environment);
  return { processes: listProcesses(input), resources: holdings(input) };
};
