/**
 * What an application wants done in each of its clones before anybody else reaches it: a command, a signal, a request. They run one after
 * another, each within its time, while the clone's processes go on and its interface is not connected.
 */
import { AppShotError } from '../common/index.ts';
import type { Environment } from '../environments/index.ts';
import { run } from '../exec/index.ts';
import type { ApplicationRecord } from '../registry/index.ts';
import type { Hook } from '../templates/index.ts';
import type { House } from './context.ts';
import { entranceOf } from './exec.ts';
import { requestInside } from './hook-request.ts';
import { signalInside } from './hook-signal.ts';

export { announce } from './announce.ts';

const describeHook = (hook: Hook): string => {
  switch (hook.kind) {
    case 'command':
      return `the command ${JSON.stringify(hook.command.join(' '))}`;
    case 'signal':
      return `the signal ${hook.signal}${hook.process === null ? '' : ` to ${hook.process}`}`;
    case 'request':
      return `the request ${hook.url}`;
  }
};

/** As the application's first process was started: its user, variables and directory. */
const runCommand = async (
  house: House,
  record: ApplicationRecord,
  environment: Environment,
  { command, withinMs }: Extract<Hook, { kind: 'command' }>,
): Promise<void> => {
  const [first] = record.spec.processes;
  const { tool, args, env } = entranceOf(house, record, environment, {
    command: [...command],
    environment: first?.environment ?? {},
    user: first?.user,
    workingDirectory: first?.workingDirectory,
  });
  await run(tool, args, { env, timeoutMs: withinMs });
};

const runHook = async (
  house: House,
  record: ApplicationRecord,
  environment: Environment,
  hook: Hook,
): Promise<void> => {
  switch (hook.kind) {
    case 'command':
      return runCommand(house, record, environment, hook);
    case 'signal':
      return signalInside(house, record, environment, hook);
    case 'request':
      return requestInside(environment.pid, hook.url, AbortSignal.timeout(hook.withinMs));
  }
};

/** What an operator needs to know of a failure: of a command how it ended and its last words, of a time that is over how long it was. */
const reasonOf = (error: unknown, { withinMs }: Hook): string => {
  if (error instanceof AppShotError && error.code === 'TOOL_FAILED')
    return `${String(error.details['status'])}: ${String(error.details['stderr']).trimEnd().slice(-1000)}`;
  if (error instanceof Error && error.name === 'AbortError') return `no answer within ${withinMs} ms`;
  return error instanceof Error ? error.message : String(error);
};

/**
 * Runs the hooks of a clone whose processes have been restored. Fails with `HOOK_FAILED` at the first that fails or takes too long; those
 * behind it are then not run.
 */
export const runHooks = async (
  house: House,
  record: ApplicationRecord,
  environment: Environment,
  hooks: readonly Hook[],
): Promise<void> => {
  for (const hook of hooks)
    try {
      await runHook(house, record, environment, hook);
    } catch (cause) {
      const { file, line } = hook;
      const evidence = cause instanceof AppShotError ? cause.details : {};
      throw new AppShotError(
        'HOOK_FAILED',
        { hook: describeHook(hook), name: record.name, reason: reasonOf(cause, hook) },
        { cause, details: { ...evidence, file, line } },
      );
    }
};
