/** Runs programs inside an application: in its namespaces, with its capabilities, but not part of its chain. */
import type { ExecRequest } from '../api/index.ts';
import { AppShotError } from '../common/index.ts';
import type { Environment } from '../environments/index.ts';
import { start } from '../exec/index.ts';
import type { Started } from '../exec/index.ts';
import { capabilityMask, encodeEnvironment, findUser } from '../harness/index.ts';
import type { ApplicationRecord } from '../registry/index.ts';
import type { House } from './context.ts';
import { identityOf } from './identity.ts';
import { systemPid } from './processes.ts';

/** How a program inside is started from here. */
interface Entrance {
  readonly tool: string;
  readonly args: readonly string[];
  readonly env: Record<string, string>;
}

/** For an environment whose chain is there, whatever the application's state. Fails with `BAD_USER`, `ENVIRONMENT_FAILED`. */
export const entranceOf = (
  house: House,
  record: ApplicationRecord,
  environment: Environment,
  request: Pick<ExecRequest, 'command' | 'environment' | 'user' | 'workingDirectory'>,
): Entrance => {
  const chain = systemPid(house, environment, Number(record.data['rootPid']));
  const user = findUser(request.user);
  return {
    tool: house.engine.init,
    args: [
      'enter',
      String(environment.pid),
      String(chain),
      capabilityMask(record.spec.capabilities).toString(16),
      String(user.uid),
      String(user.gid),
      user.groups.join(','),
      request.workingDirectory ?? '/',
      ...house.memberFiles(environment.id),
      '--',
      ...request.command,
    ],
    env: encodeEnvironment(request.environment, user.home, identityOf(record)),
  };
};

/**
 * Starts it with pipes for its standard streams. While it runs the application cannot be put to sleep. Fails with `WRONG_STATE`,
 * `BAD_USER`, `ENVIRONMENT_FAILED`.
 */
export const execInside = async (
  house: House,
  record: ApplicationRecord,
  environment: Environment | undefined,
  request: ExecRequest,
): Promise<Started> => {
  if (record.state !== 'running' || !environment) {
    const advice = record.state === 'asleep' ? 'wake it first' : 'it must be running';
    throw new AppShotError('WRONG_STATE', { name: record.name, state: record.state, verb: 'exec', advice });
  }
  const { tool, args, env } = entranceOf(house, record, environment, request);
  return start(tool, args, { stdio: ['pipe', 'pipe', 'pipe'], env });
};
