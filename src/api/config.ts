/** Reads `appshot.yaml`, the description of an application chain; docs/appshot-yaml.md shows every key. */
import { posix } from 'node:path';
import { AppShotError } from '../common/index.ts';
import { grammarOf } from './config/grammar.ts';
import type { File } from './config/grammar.ts';
import type { Environment } from './config/interpolate.ts';
import { onlyGiven, toNetworkPart } from './config/networks.ts';
import { explain } from './config/reasons.ts';
import { createSource, Problem, readValues, toAppShotProblem } from './config/source.ts';
import { findFlaw } from './networks.ts';
import type { ChainSpec } from './schemas.ts';

export interface ConfigOptions {
  /** What errors call the file. */
  readonly file: string;
  /** Absolute; where relative paths in the file begin. */
  readonly directory: string;
  /** For `${VARIABLE}` and for names without a value under `environment`. */
  readonly environment: Environment;
}

/** Keys that begin with `x-` hold what anchors mark, and mean nothing by themselves. */
const withoutExtensions = (values: unknown): unknown =>
  typeof values === 'object' && values !== null && !Array.isArray(values)
    ? Object.fromEntries(Object.entries(values).filter(([key]) => !key.startsWith('x-')))
    : values;

const checkFile = (values: unknown, options: ConfigOptions): File => {
  const result = grammarOf(options).safeParse(withoutExtensions(values), { error: explain });
  if (result.success) return result.data;
  // A misspelt key often makes another one missing: it is the better explanation.
  const issues = result.error.issues;
  const issue = issues.find(({ code }) => code === 'unrecognized_keys') ?? issues[0];
  if (issue === undefined) throw new Problem([], 'it does not fit');
  const key = issue.code === 'unrecognized_keys' ? issue.keys.slice(0, 1) : [];
  const reason = issue.code === 'invalid_key' ? (issue.issues[0]?.message ?? issue.message) : issue.message;
  throw new Problem([...issue.path, ...key], reason);
};

type Processes = NonNullable<File['processes']>;

const toProcesses = ({ processes, services }: File): ChainSpec['processes'] => {
  if (processes !== undefined && services !== undefined) {
    throw new Problem(['services'], 'processes and services are two names for the same: use one');
  }
  const key = services === undefined ? 'processes' : 'services';
  const entries = Object.entries<Processes[string]>(processes ?? services ?? {});
  if (entries.length === 0) throw new Problem([key], 'name at least one process');
  if (entries.length > 64) throw new Problem([key], 'there may be 64 at most');
  return entries.map(([name, { command, environment = {}, user, working_dir: directory }]) => ({
    name,
    command,
    environment,
    ...(user === undefined ? {} : { user }),
    ...(directory === undefined ? {} : { workingDirectory: directory }),
  }));
};

const toVolumes = ({ volumes = [] }: File): ChainSpec['volumes'] => {
  const targets = new Set<string>();
  return volumes.map(({ source, target: written, readOnly, read_only: composeReadOnly }, index) => {
    const target = posix.normalize(written).replace(/(?<=.)\/+$/, '');
    if (targets.has(target)) throw new Problem(['volumes', index], `another volume has the target ${target}`);
    targets.add(target);
    return { source, target, readOnly: readOnly ?? composeReadOnly ?? false };
  });
};

const toRules = ({ rules, rules_file: read }: File): Pick<ChainSpec, 'rules'> => {
  const sources = [rules, read].filter((source) => source !== undefined);
  return sources.length === 0 ? {} : { rules: sources };
};

/** What is made from keys of other names, or from several. */
const toChain = (file: File): ChainSpec => {
  const { name, aid, hostname, address, memory, links, limits = {}, capabilities = {} } = file;
  const { part, pathOf } = toNetworkPart(file);
  const flaw = findFlaw(part);
  if (flaw !== undefined) throw new Problem(pathOf(flaw.path), flaw.reason);
  return {
    name,
    ...onlyGiven({ aid, hostname, address, memory, links }),
    ...part,
    processes: toProcesses(file),
    volumes: toVolumes(file),
    ...toRules(file),
    limits,
    capabilities: { add: capabilities.add ?? [], drop: capabilities.drop ?? [] },
  };
};

/**
 * An application chain from the text of an `appshot.yaml`.
 *
 * @throws AppShotError BAD_CONFIG with file, line, column, dotted field and reason
 */
export const parseConfig = (text: string, options: ConfigOptions): ChainSpec => {
  const source = createSource(text, options.file);
  try {
    return toChain(checkFile(readValues(source, options.environment), options));
  } catch (error) {
    if (error instanceof Problem) throw toAppShotProblem(source, error);
    if (error instanceof RangeError)
      throw toAppShotProblem(source, new Problem([], 'it is nested too deeply'));
    throw error instanceof AppShotError
      ? error
      : new AppShotError('INTERNAL', { reason: String(error) }, { cause: error });
  }
};
