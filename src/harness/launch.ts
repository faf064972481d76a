/**
 * The harness: primes an environment with an application's identity and starts its chain there (figure 10).
 *
 * The chain's process IDs begin high, so that those of the engine and its helpers, which are low, never meet them on restore.
 */
import { chmodSync, lstatSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { getSystemErrorName } from 'node:util';
import type { ChainSpec } from '../api/index.ts';
import { AppShotError } from '../common/index.ts';
import { insidePath } from '../environments/index.ts';
import type { Environment } from '../environments/index.ts';
import { encodeSpecification } from './specification.ts';
import type { Identity } from './specification.ts';

/** The ID before the first process's. */
const LAST_PID = 999;

/** Checks what can be checked before anything exists. Fails with `VOLUME_NOT_FOUND`, `BAD_USER`, `BAD_REQUEST`. */
export const checkSpecification = (spec: ChainSpec, identity: Identity): void => {
  encodeSpecification(spec, identity);
  for (const { source } of spec.volumes)
    if (!statSync(source, { throwIfNoEntry: false })) throw new AppShotError('VOLUME_NOT_FOUND', { source });
  const names = spec.processes.map(({ name }) => name);
  const twice = names.find((name, index) => names.indexOf(name) !== index);
  if (twice)
    throw new AppShotError('BAD_REQUEST', {
      field: 'processes',
      reason: `two processes are called ${twice}`,
    });
};

/** What belongs to AppShot in an application's root. */
const OWN = '.appshot';
/** Where a program may leave rules for its clones: anybody in the application may write there. */
const RULES = 'rules';
const LARGEST_RULES = 1 << 20;

/** `/.appshot/identity.json` and `/.appshot/generation`: who it is, in a form that programs can watch (docs/uniqueness.md). */
const tellIdentity = (upper: string, { variables: _variables, ...identity }: Identity): void => {
  const directory = join(upper, OWN);
  mkdirSync(directory, { recursive: true, mode: 0o755 });
  const write = (name: string, text: string, mode: number): void => {
    const path = join(directory, name);
    rmSync(path, { force: true, recursive: true });
    writeFileSync(path, text, { flag: 'wx' });
    chmodSync(path, mode);
  };
  write('identity.json', `${JSON.stringify(identity)}\n`, 0o644);
  write('generation', `${identity.generation}\n`, 0o644);
  write(RULES, '', 0o666);
};

/**
 * The rules that the programs of an application have left for its clones, in `/.appshot/rules`; empty when there are none. Fails with
 * `BAD_RULES` when that is something else than a file of at most 1 MiB.
 */
export const readOwnRules = (upper: string): { file: string; text: string } => {
  const file = `/${OWN}/${RULES}`;
  const refuse = (reason: string): never => {
    throw new AppShotError('BAD_RULES', { file, line: 1, column: 1, reason });
  };
  const path = join(upper, OWN, RULES);
  const found = lstatSync(join(upper, OWN), { throwIfNoEntry: false })?.isDirectory()
    ? lstatSync(path, { throwIfNoEntry: false })
    : undefined;
  if (!found) return { file, text: '' };
  if (!found.isFile()) return refuse('it is not a file any more');
  if (found.size > LARGEST_RULES) return refuse('rules may have 1 MiB at most');
  return { file, text: readFileSync(path, 'utf8') };
};

/**
 * Writes the files by which an application knows its own name (figure 16) and finds others into the root's upper directory; `resolver` is its
 * resolv.conf.
 */
export const writeIdentityFiles = (upper: string, identity: Identity, resolver: string): void => {
  const { hostname, address } = identity;
  tellIdentity(upper, identity);
  const etc = join(upper, 'etc');
  if (!lstatSync(etc, { throwIfNoEntry: false })) mkdirSync(etc, { mode: 0o755 });
  // What an application made of its /etc, or of a file in it, must not lead out of its own files.
  if (!lstatSync(etc).isDirectory()) return;
  const write = (name: string, text: string): void => {
    const path = join(etc, name);
    rmSync(path, { force: true, recursive: true });
    writeFileSync(path, text, { flag: 'wx', mode: 0o644 });
  };
  write('resolv.conf', resolver);
  write('hostname', `${hostname}\n`);
  write('hosts', `127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost\n${address}\t${hostname}\n`);
};

const REASONS: Readonly<Record<string, string>> = {
  EACCES: 'it may not be executed by this user, or is a directory',
  ENOEXEC: 'it is no program, or a script whose interpreter is missing',
};

const refusal = (
  spec: ChainSpec,
  failed: { process: string; stage: string; errno: number },
): AppShotError => {
  const process = spec.processes.find(({ name }) => name === failed.process);
  const reason = failed.errno > 0 ? getSystemErrorName(-failed.errno) : 'unknown error';
  if (failed.stage === 'directory')
    return new AppShotError('BAD_DIRECTORY', { path: process?.workingDirectory ?? '/' });
  const command = process?.command[0] ?? failed.process;
  if (failed.stage !== 'execute')
    return new AppShotError('ENVIRONMENT_FAILED', {
      reason: `${failed.process}: ${failed.stage}: ${reason}`,
    });
  return reason === 'ENOENT'
    ? new AppShotError('COMMAND_NOT_FOUND', { command })
    : new AppShotError('COMMAND_NOT_EXECUTABLE', { command, reason: REASONS[reason] ?? reason });
};

/**
 * Starts the chain in an environment that has its root and address; returns the PID of its first process inside, once every
 * process has executed its program. Fails with `COMMAND_NOT_FOUND`, `COMMAND_NOT_EXECUTABLE`, `BAD_DIRECTORY`.
 */
export const launchChain = async (
  environment: Environment,
  spec: ChainSpec,
  identity: Identity,
  init: string,
  engineDirectory: string,
): Promise<number> => {
  const program = insidePath(engineDirectory, init);
  const launched = await environment.launch(program, LAST_PID, encodeSpecification(spec, identity));
  if (launched.failed) throw refusal(spec, launched.failed);
  return launched.pid;
};

/** The log file of a process's standard output or error. */
export const logFile = (directory: string, process: string, stream: 'stdout' | 'stderr'): string =>
  join(directory, `${basename(process)}.${stream}.log`);
