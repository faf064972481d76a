/** What cannot be in a template, because its clones would not be independent of each other. Pure. */
import type { ResourceClass, ResourceType, VolumeSpec } from '../../api/index.ts';
import type { DumpSummary } from '../../criu/index.ts';
import { judge } from './classify.ts';
import type { Judged } from './classify.ts';
import { usesOf, volumeOf } from './files.ts';
import { groupBy, pidsOf, processName } from './found.ts';
import type { ClassifyInput } from './found.ts';
import { ruledAt } from './overrides.ts';

/** What every environment has: nothing of anybody is in them. */
const HARMLESS = new Set(['null', 'zero', 'full', 'random', 'urandom', 'tty'].map((name) => `/dev/${name}`));
const PSEUDO_TERMINAL = /^\/dev\/(pts\/|ptmx$|tty$)/;
/** Below them a volume shows no device of the machine. */
const NO_DEVICES = /^\/dev\/(shm|mqueue|hugepages)(\/|$)/;

/** Things that the engine may know how to save, but that are not the application's alone. */
const FOREIGN: Readonly<Record<string, string>> = {
  'tun device': 'a network device (tun), which is one for all clones',
  'external file': 'a file from outside the application',
  'BPF map': 'a BPF map, which is loaded into the kernel',
};

const heldBy = (summary: DumpSummary, object: DumpSummary['objects'][number]): string =>
  processName(summary, pidsOf([object])[0]);

const devices = ({ summary, application: { spec } }: ClassifyInput): string[] => [
  ...spec.volumes
    .filter(({ source }) => /^\/dev(\/|$)/.test(source) && !NO_DEVICES.test(source) && !HARMLESS.has(source))
    .map(({ source }) => `the volume ${source} gives it devices of this machine, which clones cannot share`),
  ...summary.objects.flatMap((object) => {
    const { kind, name } = object;
    const isPhysical =
      (kind === 'device' && !HARMLESS.has(name)) || (kind === 'terminal' && !PSEUDO_TERMINAL.test(name));
    const what = isPhysical ? `the device ${name}, which clones cannot share` : FOREIGN[kind];
    return what === undefined ? [] : [`${heldBy(summary, object)} has ${what}`];
  }),
  ...summary.processes.flatMap(({ pid, mappings }) =>
    mappings
      .filter(({ path }) => /^\/dev\/(?!shm\/)/.test(path) && !HARMLESS.has(path))
      .map(
        ({ path }) => `${processName(summary, pid)} has mapped the device ${path}, which clones cannot share`,
      ),
  ),
];

/** Where what only one can have must not lie, because all have the same files there, and how a message says that. */
interface Common {
  readonly holds: (path: string) => boolean;
  readonly words: string;
}

const inCommon = (summary: DumpSummary, { holds, words }: Common): string[] => [
  ...summary.locks
    .filter(({ path, exclusive, kind }) => (exclusive || kind === 'lease') && holds(path))
    .map(
      ({ pid, path }) =>
        `${processName(summary, pid)} has locked ${path}, ${words}: only one application could hold the lock`,
    ),
  ...summary.objects.flatMap((object) => {
    const { kind, name, socket } = object;
    const who = heldBy(summary, object);
    if (kind === 'fifo' && holds(name))
      return [`${who} has the fifo ${name}, ${words}: applications would read each other's data`];
    const path = socketPath(object);
    if (path === undefined || !holds(path) || socket?.state === 'established') return [];
    return [`${who} has the Unix socket ${path}, ${words}: only one application could have it`];
  }),
];

/** Where a UNIX socket lies. */
const socketPath = ({ socket }: DumpSummary['objects'][number]): string | undefined =>
  socket?.protocol === 'unix' && socket.local.startsWith('/') ? socket.local : undefined;

/** Volumes are the same for all who have them, so what only one can have must not lie there when there are to be two. */
export const onVolumes = (summary: DumpSummary, volumes: readonly VolumeSpec[]): string[] =>
  inCommon(summary, {
    holds: (path) => volumeOf(volumes, path) !== undefined,
    words: 'which lies on a volume',
  });

/** What clones are to share must be nobody's alone, and have a name by which each can open it. */
const onShared = ({ summary, ruled }: ClassifyInput): string[] => {
  const holds = (path: string): boolean => ruledAt(ruled?.paths ?? [], path)?.class === 'shared';
  return [
    ...inCommon(summary, { holds, words: 'which clones are to share' }),
    ...summary.objects
      .filter(({ deleted, name }) => deleted && holds(name))
      .map(
        (object) =>
          `${heldBy(summary, object)} has ${object.name} open, which has no name any more, where clones are to share`,
      ),
  ];
};

/** What begins blank must not be what processes go on with. */
const onBlank = ({ summary, ruled }: ClassifyInput): string[] => {
  const used = [
    ...usesOf(summary).filter(({ deleted }) => !deleted),
    ...summary.objects.map((object) => ({
      path: object.kind === 'fifo' ? object.name : (socketPath(object) ?? ''),
      pids: pidsOf([object]),
    })),
  ];
  return used.flatMap(({ path, pids }) => {
    const found = path === '' ? undefined : ruledAt(ruled?.paths ?? [], path);
    if (found?.class !== 'virtualize') return [];
    const { file, line } = found.rule;
    return `${file}:${line} wants ${found.path} to begin empty in clones, but ${processName(summary, pids[0])} holds ${path}`;
  });
};

/** Classes that say the same of a type as what happens to it anyway. */
const ALIKE: Partial<Record<ResourceType, readonly ResourceClass[]>> = {
  memory: ['copy-on-write', 'duplicate'],
  'shared-memory': ['copy-on-write', 'duplicate'],
  file: ['copy-on-write', 'duplicate', 'plain'],
  directory: ['copy-on-write', 'duplicate', 'plain'],
  environment: ['copy-on-write', 'duplicate'],
  port: ['multiplex', 'virtualize'],
  device: ['shared'],
  pipe: ['duplicate', 'plain'],
  'unix-socket': ['duplicate', 'virtualize', 'plain'],
  socket: ['duplicate', 'virtualize', 'plain'],
  'kernel-object': ['duplicate', 'plain'],
};

/** What a rule may say of a resource. */
const possible = (
  { found: { type, name, traits, own }, standard }: Judged,
  { ruled }: ClassifyInput,
): readonly ResourceClass[] => {
  const chosen = own ? ruledAt(ruled?.paths ?? [], name)?.class : undefined;
  if (chosen !== undefined) return [chosen];
  if (type === 'memory' && ruled?.memory === 'duplicate') return ['duplicate'];
  // What lies on a volume is the machine's, whatever a rule says.
  const isMachines = traits.shared === true && traits.modifiable !== true;
  return isMachines ? standard : [...new Set([...standard, ...(ALIKE[type] ?? [])])];
};

/** Rules that want what does not happen; each with the first resource that it is about. */
const rules = (input: ClassifyInput): string[] => {
  const wrong = judge(input).filter(
    (one) => one.override && !possible(one, input).includes(one.override.class),
  );
  const byRule = groupBy(wrong, ({ override }) => `${override?.file}:${override?.line}`);
  return [...byRule].flatMap(([place, [first, ...others]]) => {
    if (first === undefined) return [];
    const { type, name, action } = first.found;
    const more = others.length === 0 ? '' : ` and ${others.length} more`;
    return (
      `${place} wants the class ${first.override?.class} for the ${type} ${name}${more}, ` +
      `which can only be ${possible(first, input).join(' or ')}: ${action}`
    );
  });
};

/** Why there can be no template of the application: a sentence for each reason, each once; none when there can. */
export const refusals = (input: ClassifyInput): string[] => [
  ...new Set([
    ...devices(input),
    ...onVolumes(input.summary, input.application.spec.volumes),
    ...onShared(input),
    ...onBlank(input),
    ...(input.ruled?.reasons ?? []),
    ...rules(input),
  ]),
];
