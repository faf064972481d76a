/** Which cgroup hierarchies there are and where each controller lives: all in one (v2), one each (v1), or some of both. */
import { readFile } from 'node:fs/promises';
import { check, degraded, missing, ok } from './finding.ts';
import type { Check, Verdict } from './finding.ts';

const CONTROLLERS = ['memory', 'pids', 'cpu'] as const;
type Controller = (typeof CONTROLLERS)[number];

export interface Cgroups {
  readonly layout: 'v1' | 'v2' | 'hybrid' | 'none';
  /** Where each controller is mounted; absent where there is none. */
  readonly controllers: Readonly<Partial<Record<Controller, { version: 1 | 2; path: string }>>>;
}

interface Mount {
  readonly path: string;
  readonly type: string;
  readonly options: readonly string[];
}

/** Lines of /proc/PID/mountinfo (proc_pid_mountinfo(5)): fixed fields, optional ones, a hyphen, type, source, options. */
const parseMounts = (mountinfo: string): Mount[] =>
  mountinfo.split('\n').flatMap((line) => {
    const [before = '', after = ''] = line.split(' - ');
    const [type = '', , options = ''] = after.split(' ');
    return type === 'cgroup' || type === 'cgroup2'
      ? [{ path: before.split(' ')[4] ?? '', type, options: options.split(',') }]
      : [];
  });

/**
 * `mountinfo` is the text of /proc/self/mountinfo; `controllersOf` gives that of `cgroup.controllers` at the cgroup2 mount.
 */
export const parseCgroups = (mountinfo: string, controllersOf: (path: string) => string): Cgroups => {
  const mounts = parseMounts(mountinfo);
  const first = mounts.filter((mount) => mount.type === 'cgroup');
  const unified = mounts.find((mount) => mount.type === 'cgroup2');
  const offered = unified === undefined ? [] : controllersOf(unified.path).trim().split(/\s+/);
  const controllers: Partial<Record<Controller, { version: 1 | 2; path: string }>> = {};
  for (const controller of CONTROLLERS) {
    const own = first.find((mount) => mount.options.includes(controller));
    if (own !== undefined) controllers[controller] = { version: 1, path: own.path };
    else if (unified !== undefined && offered.includes(controller)) {
      controllers[controller] = { version: 2, path: unified.path };
    }
  }
  const layouts = { true: { true: 'hybrid', false: 'v2' }, false: { true: 'v1', false: 'none' } } as const;
  return { layout: layouts[`${unified !== undefined}`][`${first.length > 0}`], controllers };
};

const WITHOUT: Readonly<Record<Controller, string>> = {
  memory: 'limits of memory are not kept',
  pids: 'limits of the number of processes are not kept',
  cpu: 'limits of processor time are not kept',
};

export const judgeCgroups = ({ layout, controllers }: Cgroups): Verdict => {
  if (layout === 'none') return missing('no cgroup file system is mounted');
  const there = CONTROLLERS.flatMap((name) => {
    const place = controllers[name];
    return place === undefined ? [] : [`${name} v${place.version}`];
  });
  const absent = CONTROLLERS.filter((name) => controllers[name] === undefined);
  const found = `${layout}: ${there.join(', ')}${absent.length > 0 ? `; lacks ${absent.join(', ')}` : ''}`;
  return absent.length > 0 ? degraded(found, absent.map((name) => WITHOUT[name]).join('; ')) : ok(found);
};

const gatherCgroups = async (): Promise<Cgroups> => {
  const mountinfo = await readFile('/proc/self/mountinfo', 'utf8');
  const unified = parseMounts(mountinfo).find((mount) => mount.type === 'cgroup2');
  const listed = unified === undefined ? '' : await readFile(`${unified.path}/cgroup.controllers`, 'utf8');
  return parseCgroups(mountinfo, () => listed);
};

export const cgroupChecks: readonly Check[] = [
  check({
    name: 'cgroups',
    meaning: 'processes of an application are counted, limited, frozen and ended together',
    advice: 'mount the hierarchy, or boot with the controllers enabled',
    gather: gatherCgroups,
    judge: judgeCgroups,
  }),
];
