/** The kernel's view of an application, read from /proc and sock_diag as far as it is asked for. What ends meanwhile is left out. */
import { readFileSync, readdirSync, readlinkSync, statSync, statfsSync } from 'node:fs';
import { close, isErrno, listSockets, openNamespace, withIpcNamespace } from '../../kernel/index.ts';
import type { ResourceInput } from '../read-application.ts';
import { pidDepth, unlessGone } from '../read-process.ts';
import { parseFields, parseTable, unescapeName } from '../proc-text.ts';
import type {
  BoundPort,
  ClockOffset,
  HeldDescriptor,
  IdPair,
  KernelView,
  ProcessIds,
  SystemVObject,
  TaskIds,
} from './facts.ts';

/** What statfs(2) calls the file system of POSIX message queues. */
const MQUEUE_MAGIC = 0x19800202;
const ID_COLUMNS = { shm: 'shmid', sem: 'semid', msg: 'msqid' } as const;
const NANOSECONDS = 1e9;

const read = (path: string): string => unlessGone(() => readFileSync(path, 'utf8')) ?? '';
const list = (path: string): string[] => unlessGone(() => readdirSync(path)) ?? [];

/** `4711 17`: one number for each PID namespace, from the reader's down to the process's own. */
const idPair = (columns: string | undefined, depth: number): IdPair => {
  const ids = columns?.split('\t').map(Number) ?? [];
  return { system: ids[0] ?? 0, virtual: ids[depth - 1] ?? 0 };
};

/** Of a process, or with `task` of one of its threads; undefined when it has ended. */
const readIds = (pid: number, depth: number, task = pid): ProcessIds | undefined => {
  const fields = parseFields(read(`/proc/${pid}/task/${task}/status`));
  const id = idPair(fields.get('NSpid'), depth);
  if (id.virtual === 0) return undefined;
  return {
    ...id,
    name: unescapeName(fields.get('Name') ?? ''),
    group: idPair(fields.get('NSpgid'), depth),
    session: idPair(fields.get('NSsid'), depth),
  };
};

const readThreads = (process: ProcessIds, depth: number): TaskIds[] =>
  list(`/proc/${process.system}/task`).flatMap((task) => {
    const ids = readIds(process.system, depth, Number(task));
    return ids ? [{ system: ids.system, virtual: ids.virtual, name: ids.name, process }] : [];
  });

const deviceText = (device: number): string =>
  `${(device >>> 8) & 0xfff}:${(device & 0xff) | ((device >>> 12) & 0xfff00)}`;

const objectOf = (target: string, path: string): string | undefined => {
  if (target.startsWith('anon_inode:')) return undefined;
  if (!target.startsWith('/')) return target;
  const { dev, ino } = statSync(path);
  return `${deviceText(dev)}:${ino}`;
};

const readDescriptor = (process: IdPair, fd: number): HeldDescriptor | undefined =>
  unlessGone(() => {
    const path = `/proc/${process.system}/fd/${fd}`;
    const target = readlinkSync(path);
    // A queue has the name that mq_open(3) was given, which is one below the root of its file system.
    const isQueue = /^\/[^/]+$/.test(target) && statfsSync(path).type === MQUEUE_MAGIC;
    return { process, fd, target, object: objectOf(target, path), isQueue };
  });

const readSystemV = (): SystemVObject[] =>
  (['shm', 'sem', 'msg'] as const).flatMap((kind) =>
    parseTable(read(`/proc/sysvipc/${kind}`)).map((row) => ({
      kind,
      id: Number(row.get(ID_COLUMNS[kind])),
      key: Number(row.get('key')) >>> 0,
    })),
  );

const systemVOf = (pid: number): SystemVObject[] => {
  try {
    const namespace = openNamespace(pid, 'ipc');
    try {
      return withIpcNamespace(namespace, readSystemV);
    } finally {
      close(namespace);
    }
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ESRCH')) return [];
    throw error;
  }
};

/** `monotonic  -12  500000000`: whole seconds and what is above them. */
const parseOffsets = (text: string): ClockOffset[] =>
  text.split('\n').flatMap((line) => {
    const [clock = '', seconds, nanoseconds] = line.trim().split(/\s+/);
    return nanoseconds === undefined
      ? []
      : [{ clock, seconds: Number(seconds) + Number(nanoseconds) / NANOSECONDS }];
  });

const once = <Value>(make: () => Value): (() => Value) => {
  let made: { value: Value } | undefined;
  return () => (made ??= { value: make() }).value;
};

/** Each part is read when it is asked for first, and then stays: about 12 µs for each descriptor, 20 µs for each thread. */
export const readKernelView = ({ pids, initPid, rootPid, diagnosis }: ResourceInput): KernelView => {
  const depth = once(() => pidDepth(initPid));
  const processes = once(() =>
    [...new Set([initPid, ...pids])].map((pid) => readIds(pid, depth())).filter((ids) => ids !== undefined),
  );
  const members = () => processes().filter(({ system }) => system !== initPid);
  const threads = once(() => members().flatMap((process) => readThreads(process, depth())));
  const descriptors = once(() =>
    members().flatMap((process) =>
      list(`/proc/${process.system}/fd`)
        .map(Number)
        .toSorted((a, b) => a - b)
        .map((fd) => readDescriptor(process, fd))
        .filter((held) => held !== undefined),
    ),
  );
  const bound = (protocol: 'tcp' | 'udp'): BoundPort[] =>
    listSockets(diagnosis, { protocol, family: 'both' })
      .filter(({ state, localPort }) => localPort !== 0 && (protocol === 'udp' || state === 'LISTEN'))
      .map(({ localAddress, localPort }) => ({ protocol, address: localAddress, port: localPort }));
  return {
    initPid,
    rootPid,
    namespace: (type) => unlessGone(() => readlinkSync(`/proc/${rootPid}/ns/${type}`)) ?? `${type}:[]`,
    get processes() {
      return processes();
    },
    get threads() {
      return threads();
    },
    get descriptors() {
      return descriptors();
    },
    get workingDirectories() {
      return members().flatMap(({ system }) => unlessGone(() => readlinkSync(`/proc/${system}/cwd`)) ?? []);
    },
    get systemV() {
      return systemVOf(rootPid);
    },
    get bound() {
      return [...bound('tcp'), ...bound('udp')];
    },
    get clocks() {
      return parseOffsets(read(`/proc/${rootPid}/timens_offsets`));
    },
  };
};
