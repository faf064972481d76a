import { AppShotError } from '../common/index.ts';

const holdsNul = (text: string): boolean => text.includes('\0');

/**
 * Refuses what `execve` cannot carry, before anything is started: an empty tool name, and NUL bytes, which would end an
 * argument early. Node's own answer to these is a TypeError without the tool's name. Throws `TOOL_FAILED`.
 */
export const checkCommand = (
  tool: string,
  args: readonly string[],
  env: Readonly<Record<string, string | undefined>> = {},
): void => {
  const refuse = (reason: string): never => {
    throw new AppShotError(
      'TOOL_FAILED',
      { tool: JSON.stringify(tool), status: 'no attempt to start it', stderr: reason },
      { details: { args } },
    );
  };
  if (tool === '') refuse('the name of the tool is empty');
  if (holdsNul(tool)) refuse('the name of the tool holds a NUL byte');
  const index = args.findIndex(holdsNul);
  if (index >= 0) refuse(`argument ${index + 1} holds a NUL byte`);
  for (const [name, value] of Object.entries(env)) {
    if (name === '' || name.includes('=') || holdsNul(name)) {
      refuse(`${JSON.stringify(name)} cannot name an environment variable`);
    }
    if (value !== undefined && holdsNul(value)) refuse(`the environment variable ${name} holds a NUL byte`);
  }
};
