/** What the classification of a template begins with, made by hand. */
import { ChainSpec } from '../../src/api/index.ts';
import type { DumpSummary, SavedMapping, SavedObject, SavedProcess } from '../../src/criu/index.ts';
import type { ClassifyInput } from '../../src/templates/classify/found.ts';

export const mapping = (more: Partial<SavedMapping>): SavedMapping => ({
  start: '1000',
  end: '2000',
  bytes: 0x1000,
  prot: 'rw-',
  kind: 'anonymous',
  path: '',
  layered: false,
  same: 0,
  ...more,
});

export const process = (pid: number, more: Partial<SavedProcess> = {}): SavedProcess => ({
  pid,
  parent: 1000,
  name: 'web',
  threads: 1,
  workingDirectory: '',
  mappings: [],
  descriptors: [],
  ...more,
});

/** Held by the process 1001 as its third descriptor, unless it says otherwise. */
export const object = (kind: string, more: Partial<SavedObject> = {}): SavedObject => ({
  kind,
  name: '',
  same: 0,
  reads: true,
  writes: false,
  deleted: false,
  holders: [{ pid: 1001, fd: 3 }],
  waiting: 0,
  ...more,
});

export const heldBy = (...pids: readonly number[]): Pick<SavedObject, 'holders'> => ({
  holders: pids.map((pid) => ({ pid, fd: 3 })),
});

export const socket = (
  protocol: string,
  local: string,
  remote: string,
  state: string,
  more: Partial<SavedObject> = {},
): SavedObject => object('socket', { socket: { protocol, local, remote, state }, ...more });

export const rule = { text: 'a rule', file: 'web.rules', line: 3 };

/** Of the process 1001, called `web`, below the chain's own 1000. */
export const inputOf = (
  summary: Partial<DumpSummary> = {},
  more: Partial<Omit<ClassifyInput, 'rules' | 'application'>> & {
    readonly rules?: Partial<ClassifyInput['rules']>;
    readonly spec?: object;
  } = {},
): ClassifyInput => {
  const { rules, spec, ...others } = more;
  return {
    summary: {
      processes: [process(1000, { parent: 0, name: 'init-0123' }), process(1001), process(1002)],
      sockets: [],
      objects: [],
      locks: [],
      systemV: [],
      ...summary,
    },
    application: {
      aid: 'A1',
      name: 'web',
      hostname: 'web-host',
      address: '10.10.0.2',
      spec: ChainSpec.parse({ name: 'web', processes: [{ name: 'web', command: ['web'] }], ...spec }),
    },
    reachable: { connections: [] },
    rules: { classifications: [], variables: [], redirects: [], links: [], ...rules },
    ...others,
  };
};
