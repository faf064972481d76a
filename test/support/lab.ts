/**
 * A machine of a test's own: a network namespace without a way out, directories, and a daemon when asked for. Everything
 * that tests do to AppShot goes through its command line; everything that clients do happens inside the namespace.
 */
import { mkdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { Socket } from 'node:net';
import { join } from 'node:path';
import { run, start } from '../../src/exec/index.ts';
import type { RunOptions, RunResult, Started } from '../../src/exec/index.ts';
import { CLIENT_VARIABLE, LAB_VARIABLE } from './belongings.ts';
import { guard, labDirectory, removeEverything, sweep } from './cleanup.ts';
import { startDaemon } from './daemon-process.ts';
import type { DaemonProcess } from './daemon-process.ts';
import { dialogue } from './dialogue.ts';
import type { Dialogue } from './dialogue.ts';
import { makeNetworkNamespace } from './network-namespace.ts';
import type { NetworkNamespace } from './network-namespace.ts';

export const APPSHOT = fileURLToPath(new URL('../../bin/appshot', import.meta.url));
export const NETWORK = '10.10.0.0/16';

/** How a command of AppShot ended. */
export interface CommandResult {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
  readonly ms: number;
  /** Standard output as JSON; throws when it is not. */
  json<T>(): T;
}

export interface Lab extends AsyncDisposable {
  readonly name: string;
  readonly directory: string;
  readonly dataDirectory: string;
  readonly runDirectory: string;
  /** What the daemon wrote to standard error. */
  readonly log: string;
  readonly namespace: NetworkNamespace;
  /** Starts the daemon and waits until it is ready; also again, after `stop` or `kill` of the one before. */
  daemon(options?: {
    args?: readonly string[];
    environment?: Record<string, string>;
  }): Promise<DaemonProcess>;
  daemonPid(): number;
  /** Runs a command of AppShot against this lab's daemon, whatever its exit code. */
  appshot(...args: string[]): Promise<CommandResult>;
  /** The same; throws with what it printed when it fails. */
  succeed(...args: string[]): Promise<CommandResult>;
  /** Runs a real client inside the network namespace. Throws `TOOL_FAILED` as `run` does. */
  exec(tool: string, args: readonly string[], options?: RunOptions): Promise<RunResult>;
  /** Runs a command of AppShot inside, by itself or through another tool, whatever its exit code. */
  foreground(tool: string, args: readonly string[]): Promise<CommandResult>;
  /** Starts a real client inside and leaves it running. */
  talk(tool: string, args: readonly string[]): Promise<Dialogue>;
  /** Opens a connection inside, from this very process. */
  connect(address: string, port: number): Promise<Socket>;
}

let made = 0;

const ANY_EXIT = Array.from({ length: 256 }, (_, code) => code);

/** The environment of everything the lab starts: its mark, and no other daemon's directory. */
const environmentOf = (name: string, more: Record<string, string>): Record<string, string | undefined> => ({
  ...process.env,
  [LAB_VARIABLE]: name,
  APPSHOT_RUN_DIR: undefined,
  ...more,
});

const command = async (
  tool: string,
  args: readonly string[],
  env: Record<string, string | undefined>,
): Promise<CommandResult> => {
  const result = await run(tool, args, { env, acceptExit: ANY_EXIT, timeoutMs: 120_000 });
  return { ...result, json: <T>() => JSON.parse(result.stdout) as T };
};

const succeeded = (args: readonly string[], result: CommandResult): CommandResult => {
  if (result.code === 0) return result;
  throw new Error(`appshot ${args.join(' ')} ended with ${result.code}:\n${result.stderr}${result.stdout}`);
};

export const createLab = async (): Promise<Lab> => {
  await sweep();
  const name = `appshot-lab-${process.pid}-${++made}`;
  const directory = labDirectory(name);
  const [dataDirectory, runDirectory] = [join(directory, 'data'), join(directory, 'run')];
  mkdirSync(directory, { mode: 0o755 });
  const namespace = await makeNetworkNamespace(name);
  const marks = { name, directory, namespace };
  const release = guard(marks);
  const environment = environmentOf(name, { [CLIENT_VARIABLE]: name, APPSHOT_RUN_DIR: runDirectory });
  const inside = (tool: string, args: readonly string[]): [string, string[]] => [
    'nsenter',
    [`--net=${namespace.path}`, '--', tool, ...args],
  ];
  const log = join(directory, 'daemon.log');
  let current: DaemonProcess | undefined;
  const appshot = (...args: string[]): Promise<CommandResult> => command(APPSHOT, args, environment);
  return {
    name,
    directory,
    dataDirectory,
    runDirectory,
    log,
    namespace,
    daemon: async ({ args = [], environment: more = {} } = {}) => {
      const own = ['--data-dir', dataDirectory, '--run-dir', runDirectory, '--network', NETWORK, ...args];
      const [tool, all] = inside(APPSHOT, ['daemon', ...own]);
      current = await startDaemon({ tool, args: all, environment: environmentOf(name, more), log });
      return current;
    },
    daemonPid: () => {
      if (current === undefined) throw new Error(`${name} has no daemon yet`);
      return current.pid;
    },
    appshot,
    succeed: async (...args) => succeeded(args, await appshot(...args)),
    exec: (tool, args, options = {}) =>
      run(...inside(tool, args), { timeoutMs: 60_000, env: environment, ...options }),
    foreground: (tool, args) => command(...inside(tool, args), environment),
    talk: async (tool, args) => {
      const client: Started = await start(...inside(tool, args), {
        stdio: ['pipe', 'pipe', 'pipe'],
        env: environment,
      });
      return dialogue(client);
    },
    connect: (address, port) => namespace.connect(address, port),
    [Symbol.asyncDispose]: async () => {
      namespace.close();
      await removeEverything(marks);
      release();
    },
  };
};
