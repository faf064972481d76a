/** The processes themselves: their debuggers, namespaces, sessions and threads (criu/seize.c, namespaces.c, pstree.c). */
import type { ProcessFacts } from '../facts.ts';
import type { Detector, Finding } from './finding.ts';

export const debugged: Detector = ({ tracer }) =>
  tracer === 0
    ? []
    : [
        {
          kind: 'debugger',
          what: 'the process is being debugged',
          why: 'CRIU works as a debugger does, and a process has one at most',
          advice: 'detach the debugger (gdb, strace)',
        },
      ];

const TITLES: Readonly<Record<string, string>> = {
  cgroup: 'control group',
  ipc: 'IPC',
  mnt: 'mount',
  net: 'network',
  pid: 'process ID',
  time: 'time',
  user: 'user',
  uts: 'host name',
};
const TYPES = Object.keys(TITLES);

const differs = (type: string, process: ProcessFacts, first: ProcessFacts): boolean =>
  process.namespaces[type] !== undefined && process.namespaces[type] !== first.namespaces[type];

const nested = (what: string): Finding => ({
  kind: 'namespace',
  what,
  why: 'CRIU saves one set of namespaces for the whole application',
  advice: 'turn off the sandbox or container that the program makes (--no-sandbox for Chromium)',
});

export const ownNamespaces: Detector = (process, { first }) => {
  // A zombie has left its namespaces.
  if (first === undefined || process.state === 'Z') return [];
  const own = TYPES.filter((type) => differs(type, process, first)).map((type) => TITLES[type]);
  if (own.length > 0) return [nested(`the process has namespaces of its own (${own.join(', ')})`)];
  const { time, time_for_children: children } = process.namespaces;
  return children === time ? [] : [nested('the children of the process would have another clock')];
};

/** Descriptors of namespaces: the engine finds again those that its processes live in. */
export const namespaceDescriptors: Detector = ({ descriptors }, { members }) => {
  const named = descriptors.filter(({ target }) => /^(?!socket|pipe)[a-z_]+:\[\d+\]$/.test(target));
  if (named.length === 0) return [];
  const known = new Set(members.flatMap(({ namespaces }) => Object.values(namespaces)));
  return named
    .filter(({ target }) => !known.has(target))
    .map(({ target }) => nested(`a descriptor of the namespace ${target}`));
};

export const foreignSession: Detector = ({ session, state }) =>
  session !== 0 || state === 'Z'
    ? []
    : [
        {
          kind: 'session',
          what: 'the process belongs to a session of outside',
          why: 'the leader of its session is not part of the application',
          advice: 'start it from within the application, or with setsid',
        },
      ];

export const endedMainThread: Detector = ({ state, threads }) =>
  state !== 'Z' || threads < 2
    ? []
    : [
        {
          kind: 'threads',
          what: 'the main thread has ended, other threads go on',
          why: 'CRIU cannot save a process without its main thread',
          advice: 'let the main thread wait for the others instead of ending',
        },
      ];

/** Every process has the filters of the first one (native/identity.c); those it can be restored with. */
export const ownFilters: Detector = ({ filters, state }, { first }) =>
  first === undefined || filters <= first.filters || state === 'Z'
    ? []
    : [
        {
          kind: 'seccomp',
          what: 'the process has a seccomp filter of its own',
          why: 'inside a user namespace CRIU cannot suspend it, so a restore might be refused what it needs',
          advice: "turn the program's sandbox off; it runs in one already",
        },
      ];
