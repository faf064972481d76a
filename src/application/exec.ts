/** Runs a program inside a running application: in its namespaces, with its capabilities, but not part of its chain. */
import type { ExecRequest } from '../api/index.ts';
import { AppShotError } from '../common/index.ts';
import type { Environment } from '../environments/index.ts';
import { start } from '../exec/index.ts';
import type { Started } from '../exec/index.ts';
import { capabilityMask, encodeEnvironment, findUser } from '../harness/index.ts';
import type { ApplicationRecord } from '../registry/index.ts';
import type { House } from './context.ts';
import { systemPid } from './processes.ts';

/**
 * Starts it with pipes for its standard streams. While it runs the application cannot be put to sleep. Fails with `WRONG_STATE`,
 * `BAD_USER`, `ENVIRONMENT_FAILED`.
 */
export const execInside = async (
  house: House,
  record: ApplicationRecord,
  environment: Environment | undefined,
  memberFiles: readonly string[],
  request: ExecRequest,
): Promise<Started> => {
  if (record.state !== 'running' || !environment) {
    const advice = record.state === 'asleep' ? 'wake it first' : 'it must be running';
    throw new AppShotError('WRONG_STATE', { name: record.name, state: record.state, verb: 'exec', advice });
  }
  const chain = systemPid(house, environment, Number(record.data['rootPid']));
  const user = findUser(request.user);
  const environmentVariables = encodeEnvironment(request.environment, user.home, record);
  return start(
    house.engine.init,
    [
      'enter',
      String(environment.pid),
      String(chain),
      capabilityMask(record.spec.capabilities).toString(16),
      String(user.uid),
      String(user.gid),
      user.groups.join(','),
      request.workingDirectory ?? '/',
      ...memberFiles,
      '--',
      ...request.command,
    ],
    { stdio: ['pipe', 'pipe', 'pipe'], env: environmentVariables },
  );
};
