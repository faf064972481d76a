/** Files, directories, logs and devices: what processes have open or mapped, each path once. */
import type { VolumeSpec } from '../../api/index.ts';
import type { DumpSummary } from '../../criu/index.ts';
import { OWN, groupBy, isWithin } from './found.ts';
import type { ClassifyInput, Found, Written } from './found.ts';
import type { RuledPath } from './overrides.ts';

/** How a process uses a path. */
interface Use {
  readonly path: string;
  readonly kind: 'file' | 'directory' | 'device';
  readonly pids: readonly number[];
  readonly reads: boolean;
  readonly writes: boolean;
  /** Whether the file has no name any more: the path may be another's by now. */
  readonly deleted: boolean;
  /** Whether what one process does to it is seen by others at once. */
  readonly shared: boolean;
}

const SHM = '/dev/shm';
const APPSHOT = '/.appshot';
const LOGS = '/.appshot/log';

const opened = ({ objects }: DumpSummary): Use[] =>
  objects.flatMap(({ kind, name: path, reads, writes, deleted, holders }) => {
    if (kind !== 'file' && kind !== 'directory' && kind !== 'device') return [];
    const pids = [...new Set(holders.map(({ pid }) => pid))];
    return [{ path, kind, pids, reads, writes, deleted, shared: pids.length > 1 }];
  });

const mapped = ({ processes }: DumpSummary): Use[] =>
  processes.flatMap(({ pid, mappings }) =>
    mappings
      // Memory that is a file has no path, and what it has in common instead.
      .filter(({ path, same }) => path !== '' && same === 0)
      .map(({ kind, path, prot }) => {
        const isDevice = isWithin(path, '/dev') && !isWithin(path, SHM);
        const writes = kind === 'shared file' && prot.includes('w');
        return {
          path,
          kind: isDevice ? 'device' : 'file',
          pids: [pid],
          reads: true,
          writes,
          deleted: false,
          shared: writes,
        };
      }),
  );

const workplaces = ({ processes }: DumpSummary): Use[] =>
  processes
    .filter(({ workingDirectory }) => workingDirectory !== '')
    .map(({ pid, workingDirectory: path }) => ({
      path,
      kind: 'directory',
      pids: [pid],
      reads: true,
      writes: false,
      deleted: false,
      shared: false,
    }));

/** The innermost volume that a path lies on. */
export const volumeOf = (volumes: readonly VolumeSpec[], path: string): VolumeSpec | undefined =>
  volumes
    .filter(({ target }) => isWithin(path, target))
    .toSorted((a, b) => b.target.length - a.target.length)[0];

/** The rule that leads to a path: programs opened it by a redirected path or through a link. */
const ruleOf = (path: string, { rules, places }: ClassifyInput): Written | undefined =>
  rules.redirects.find(({ from }) => isWithin(path, from)) ??
  rules.links.find((rule) =>
    places?.links.some((link) => link.path === rule.path && isWithin(path, link.target)),
  );

type Fate = Pick<Found, 'type' | 'traits' | 'action' | 'rule' | 'own'>;

/** All uses of a path in one, and where it lies. */
interface Facts extends Use {
  readonly onVolume: boolean;
  readonly rule: Written | undefined;
}

const isOfKernel = (path: string): boolean => isWithin(path, '/proc') || isWithin(path, '/sys');

/** What lies in a place that is not simply the application's own layer. */
const fateOfPlace = ({ path, kind, onVolume }: Facts): Fate | undefined => {
  const type = kind === 'directory' ? 'directory' : 'file';
  if (kind === 'device')
    return { type: 'device', traits: {}, action: 'the same: it keeps nothing of anybody' };
  if (isWithin(path, LOGS)) return { type: 'log', traits: { systemUnique: true }, action: 'begins empty' };
  if (onVolume)
    return { type, traits: { shared: true }, action: "on a volume: the machine's own, one for all" };
  if (isOfKernel(path)) return { type, traits: {}, action: "opened in the clone's own namespaces" };
  return undefined;
};

const fateOf = (facts: Facts): Fate => {
  const { path, kind, writes, deleted, shared, rule } = facts;
  const place = fateOfPlace(facts);
  if (place) return place;
  if (deleted && kind !== 'directory')
    return { type: 'file', traits: { shared, modifiable: true }, action: 'copied, again without a name' };
  const traits = { shared, modifiable: writes, large: writes };
  const type = kind === 'directory' ? 'directory' : isWithin(path, SHM) ? 'shared-memory' : 'file';
  // What a path leads to by a rule differs between applications, as a number does that each has for itself.
  if (rule)
    return { type, rule, traits: { ...traits, systemUnique: true }, action: "at the clone's own place" };
  if (type === 'directory') return { type, traits, own: true, action: "opened below the clone's own layer" };
  return {
    type,
    traits,
    own: true,
    action: writes ? "copied into the clone's own layer" : "read below the clone's own layer",
  };
};

const describe = (uses: readonly Use[], input: ClassifyInput): Found => {
  const some = (what: 'reads' | 'writes' | 'deleted' | 'shared'): boolean => uses.some((use) => use[what]);
  const { path = '', kind = 'file' } = uses[0] ?? {};
  const [reads, writes, deleted, shared] = [some('reads'), some('writes'), some('deleted'), some('shared')];
  const pids = [...new Set(uses.flatMap((use) => use.pids))].toSorted((a, b) => a - b);
  const onVolume = volumeOf(input.application.spec.volumes, path) !== undefined;
  const rule = ruleOf(path, input);
  const access = { read: reads, write: writes, destroy: deleted };
  return {
    name: path,
    data: { processes: pids, reads, writes, deleted },
    access: OWN.filter((one) => one !== 'create' && access[one]),
    ...fateOf({ path, kind, pids, reads, writes, deleted, shared, onVolume, rule }),
  };
};

/** Everything below it is a resource too, which nobody holds open just now. */
const ROOT: Found = {
  type: 'directory',
  name: '/',
  data: {},
  traits: { modifiable: true, large: true },
  action: "the template's, below the clone's own layer",
  access: OWN,
};

/** A path that a rule singles out, and that nobody holds. */
const resting = ({ path, kind }: RuledPath): Found => ({
  type: kind,
  name: path,
  data: { processes: [], reads: false, writes: false, deleted: false },
  traits: {},
  own: true,
  action: "below the clone's own layer",
  access: OWN,
});

/** Files, directories and devices that processes hold open, have mapped or work in. */
export const usesOf = (summary: DumpSummary): Use[] => [
  ...opened(summary),
  ...mapped(summary),
  ...workplaces(summary),
];

export const files = (input: ClassifyInput): Found[] => {
  const uses = usesOf(input.summary).filter(
    // What AppShot itself gives to every environment is no resource of the application.
    ({ path }) => path !== '/' && (!isWithin(path, APPSHOT) || isWithin(path, LOGS)),
  );
  const byPath = groupBy(uses, ({ path, deleted }) => `${deleted ? 'deleted' : ''}${path}`);
  const ruled = (input.ruled?.paths ?? []).filter(({ path }) => !byPath.has(path));
  return [ROOT, ...[...byPath.values()].map((some) => describe(some, input)), ...ruled.map(resting)];
};
