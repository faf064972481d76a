/** What cannot be in a template, because its clones would not be independent of each other. Pure. */
import type { ResourceClass, ResourceType } from '../../api/index.ts';
import type { DumpSummary } from '../../criu/index.ts';
import { judge } from './classify.ts';
import type { Judged } from './classify.ts';
import { volumeOf } from './files.ts';
import { groupBy, pidsOf, processName } from './found.ts';
import type { ClassifyInput } from './found.ts';

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

/** Volumes are the same for all clones, so what only one can have must not lie there. */
const onVolumes = ({ summary, application: { spec } }: ClassifyInput): string[] => {
  const lies = (path: string): boolean => volumeOf(spec.volumes, path) !== undefined;
  return [
    ...summary.locks
      .filter(({ path, exclusive, kind }) => (exclusive || kind === 'lease') && lies(path))
      .map(
        ({ pid, path }) =>
          `${processName(summary, pid)} has locked ${path}, which lies on a volume: only one clone could hold the lock`,
      ),
    ...summary.objects.flatMap((object) => {
      const { kind, name, socket } = object;
      const who = heldBy(summary, object);
      if (kind === 'fifo' && lies(name))
        return [`${who} has the fifo ${name}, which lies on a volume: clones would read each other's data`];
      const path = socket?.protocol === 'unix' && socket.state !== 'established' ? socket.local : '';
      if (!path.startsWith('/') || !lies(path)) return [];
      return [`${who} has the Unix socket ${path}, which lies on a volume: only one clone could have it`];
    }),
  ];
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

/** What a rule may say of a resource: nothing else happens to it. */
const possible = ({ found: { type, traits }, standard }: Judged): readonly ResourceClass[] => {
  // What lies on a volume is the machine's, whatever a rule says.
  const isMachines = traits.shared === true && traits.modifiable !== true;
  return isMachines ? standard : [...new Set([...standard, ...(ALIKE[type] ?? [])])];
};

/** Rules that want what does not happen; each with the first resource that it is about. */
const rules = (input: ClassifyInput): string[] => {
  const wrong = judge(input).filter((one) => one.override && !possible(one).includes(one.override.class));
  const byRule = groupBy(wrong, ({ override }) => `${override?.file}:${override?.line}`);
  return [...byRule].flatMap(([place, [first, ...others]]) => {
    if (first === undefined) return [];
    const { type, name, action } = first.found;
    const more = others.length === 0 ? '' : ` and ${others.length} more`;
    return (
      `${place} wants the class ${first.override?.class} for the ${type} ${name}${more}, ` +
      `which can only be ${possible(first).join(' or ')}: ${action}`
    );
  });
};

/** Why there can be no template of the application: a sentence for each reason, each once; none when there can. */
export const refusals = (input: ClassifyInput): string[] => [
  ...new Set([...devices(input), ...onVolumes(input), ...rules(input)]),
];
