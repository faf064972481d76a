/** From the options of `appshot run`, and perhaps a file, to the description that the daemon takes. */
import { dirname, posix, resolve } from 'node:path';
import {
  ChainSpec,
  completeSite,
  explain,
  PolicySpec,
  readConfig,
  readLink,
  readPublish,
  readSite,
  readVolume,
} from '../api/index.ts';
import type { MemoryChoice } from '../api/index.ts';
import { AppShotError } from '../common/index.ts';
import { commandOf, deriveName } from './command-words.ts';
import type { InstancesRange } from './numbers.ts';
import { defaultVariables, readAssignments, readEnvironmentFile, readText } from './variables.ts';

export interface RunOptions {
  readonly name?: string;
  readonly aid?: string;
  readonly address?: string;
  readonly network?: string;
  readonly service?: string;
  readonly publish?: string[];
  readonly site?: string[];
  readonly priority?: number;
  /** Seconds. */
  readonly freeze?: number;
  readonly instances?: InstancesRange;
  readonly concurrency?: number;
  readonly hostname?: string;
  readonly env?: string[];
  readonly envFile?: string[];
  readonly user?: string;
  readonly workdir?: string;
  readonly volume?: string[];
  /** Seconds. */
  readonly idle?: number;
  readonly memory?: MemoryChoice;
  /** Bytes. */
  readonly memoryLimit?: number;
  readonly pidsLimit?: number;
  readonly cpus?: number;
  readonly capAdd?: string[];
  readonly capDrop?: string[];
  readonly rules?: string[];
  readonly link?: string[];
  readonly file?: string;
}

type Process = ChainSpec['processes'][number];

const usage = (reason: string): AppShotError => new AppShotError('USAGE', { reason });

/** Leaves out what was not given, so that it does not hide what the file says. */
const given = <T extends object>(values: T): Partial<T> =>
  Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as Partial<T>;

const readBase = async ({ file }: RunOptions, words: readonly string[]): Promise<ChainSpec> => {
  if (file === undefined) {
    const command = commandOf(words);
    const name = deriveName(command);
    const process: Process = { name, command, environment: {} };
    return { name, processes: [process], volumes: [], limits: {}, capabilities: { add: [], drop: [] } };
  }
  if (words.length > 0) throw usage('give a command or --file, not both');
  return readConfig(readText(file), { file, directory: dirname(resolve(file)), environment: process.env });
};

/** Where a command starts when nothing says otherwise: in the caller's directory, one of a file in the file's. */
const startDirectory = ({ file }: RunOptions): string =>
  file === undefined ? process.cwd() : dirname(resolve(file));

const withOptions = (spec: Process, options: RunOptions): Process => {
  const user = options.user ?? spec.user;
  const files = (options.envFile ?? []).map(readEnvironmentFile);
  const workdir = options.workdir === undefined ? spec.workingDirectory : resolve(options.workdir);
  return {
    ...spec,
    ...given({ user }),
    workingDirectory: workdir ?? startDirectory(options),
    environment: Object.assign(
      defaultVariables(user),
      spec.environment,
      ...files,
      readAssignments(options.env ?? []),
    ) as Record<string, string>,
  };
};

const capabilityNames = (words: readonly string[] = []): string[] =>
  words.map((word) => word.toUpperCase().replace(/^CAP_/, ''));

/** Reads each word of a repeatable option; what is wrong with one is said of the option. */
const readAll = <T>(flag: string, words: readonly string[], read: (word: string) => T): T[] =>
  words.map((word) => {
    try {
      return read(word);
    } catch (error) {
      throw usage(`${flag}: ${(error as Error).message}`);
    }
  });

const toVolumes = (words: readonly string[] = []): ChainSpec['volumes'] =>
  readAll('--volume', words, (word) => {
    const { target, ...rest } = readVolume(word, process.cwd());
    return { ...rest, target: posix.normalize(target) };
  });

/** What their messages call rules is the file as the user named it. */
const toRules = (files: readonly string[]): NonNullable<ChainSpec['rules']> =>
  files.map((file) => ({ file, text: readText(file) }));

/** Both as they are when nothing is added: a description without rules has no key for them. */
const addRules = (base: ChainSpec, { rules, link }: RunOptions): Partial<ChainSpec> => ({
  ...(rules && { rules: [...(base.rules ?? []), ...toRules(rules)] }),
  ...(link && { links: [...(base.links ?? []), ...readAll('--link', link, readLink)] }),
});

/** Published ports and sites are more of them; a site may take its port from what is published, here or in the file. */
const addReach = (base: ChainSpec, options: RunOptions): Partial<ChainSpec> => {
  const publish = [
    ...(base.publish ?? []),
    ...readAll('--publish', options.publish ?? [], readPublish).flat(),
  ];
  const sites = readAll('--site', options.site ?? [], (word) => completeSite(readSite(word), publish));
  return {
    ...(publish.length > 0 && { publish }),
    ...(sites.length > 0 && { sites: [...(base.sites ?? []), ...sites] }),
  };
};

const addPolicy = ({ policy }: ChainSpec, options: RunOptions): Partial<ChainSpec> => {
  const { priority, freeze, concurrency } = options;
  const instances = options.instances ?? (concurrency === undefined ? undefined : policy?.instances);
  if (concurrency !== undefined && !instances) throw usage('--concurrency needs --instances');
  const own = given({ priority, freeze, instances });
  if (Object.keys(own).length === 0) return {};
  const range = instances && {
    instances: { ...policy?.instances, ...instances, ...given({ concurrency }) },
  };
  return { policy: { ...(policy ?? PolicySpec.parse({})), ...own, ...range } };
};

const combine = (base: ChainSpec, options: RunOptions): ChainSpec => {
  const { name, aid, address, hostname, network, service, idle, memory } = options;
  const { memoryLimit, pidsLimit: pids, cpus } = options;
  return {
    ...base,
    ...given({ name, aid, address, hostname, network, service, idle, memory }),
    ...addReach(base, options),
    ...addPolicy(base, options),
    processes: base.processes.map((process) => withOptions(process, options)),
    volumes: [...base.volumes, ...toVolumes(options.volume)],
    ...addRules(base, options),
    limits: { ...base.limits, ...given({ memory: memoryLimit, pids, cpus }) },
    capabilities: {
      add: [...base.capabilities.add, ...capabilityNames(options.capAdd)],
      drop: [...base.capabilities.drop, ...capabilityNames(options.capDrop)],
    },
  };
};

/** Options of `appshot run` that set a field of another name. */
const FLAGS: Readonly<Record<string, string>> = {
  'capabilities.add': '--cap-add',
  'capabilities.drop': '--cap-drop',
  'limits.cpus': '--cpus',
  'limits.memory': '--memory-limit',
  'limits.pids': '--pids-limit',
  links: '--link',
  'policy.freeze': '--freeze',
  'policy.instances': '--instances',
  'policy.priority': '--priority',
  sites: '--site',
  volumes: '--volume',
};

const toFlag = (path: readonly PropertyKey[]): string => {
  const [field = '', part] = path.map(String);
  return FLAGS[field] ?? FLAGS[`${field}.${part}`] ?? `--${field}`;
};

/**
 * The whole description: the file, if any, with the options over it.
 *
 * @throws AppShotError USAGE, BAD_NAME, or BAD_CONFIG for the file
 */
export const buildChain = async (options: RunOptions, words: readonly string[]): Promise<ChainSpec> => {
  const spec = combine(await readBase(options, words), options);
  const result = ChainSpec.safeParse(spec, { error: explain });
  if (result.success) return result.data;
  const { path = [], message } = result.error.issues[0] ?? {};
  if (path[0] === 'name') throw new AppShotError('BAD_NAME', { name: spec.name });
  throw usage(`${toFlag(path)}: ${message}`);
};
