/** What the processes of a dump hold open: each object once, with all who hold it, and the locks on files. */
import type { Fields } from '../schema.ts';
import { numberIn, numbers, part, parts } from './access.ts';
import type { SavedFiles } from './files.ts';
import type { SavedSocket } from './sockets.ts';

export interface SavedObject {
  /** `file`, `directory`, `device`, `memfd`, `pipe`, `fifo`, `socket`, or the name of another thing, such as `epoll` or `terminal`. */
  readonly kind: string;
  /** Path, or name of memory that is a file; empty when it has none. */
  readonly name: string;
  /** What it was opened for. */
  readonly reads: boolean;
  readonly writes: boolean;
  /** Whether its last name is gone. */
  readonly deleted: boolean;
  /** What both ends of a pipe, all openings of a fifo and of memory, and all of one terminal have in common; else 0. */
  readonly same: number;
  /** Of TCP, UDP and UNIX. */
  readonly socket?: SavedSocket;
  /** Descriptors of it; none while it is under way in a socket. */
  readonly holders: readonly { readonly pid: number; readonly fd: number }[];
  /** Bytes that wait in it to be read. */
  readonly waiting: number;
}

export interface SavedLock {
  readonly pid: number;
  readonly path: string;
  readonly kind: 'flock' | 'range' | 'lease';
  /** Whether it keeps out everybody else, rather than only those who write. */
  readonly exclusive: boolean;
}

export interface Holder {
  readonly pid: number;
  /** Its `fdinfo_entry` messages. */
  readonly fds: readonly Fields[];
}

/** The messages of the image with a name; none when there is no such image. */
export type Messages = (name: string) => readonly Fields[];

/** `O_ACCMODE`, `O_RDONLY` and `O_WRONLY` of the kernel. */
const ACCESS = 3;
const READ_ONLY = 0;
const WRITE_ONLY = 1;
/** `S_IFMT` of the kernel, and what it tells apart. */
const TYPE = 0o170000;
const DIRECTORY = 0o040000;
const DEVICES = new Set([0o020000, 0o060000]);
/** `FL_FLOCK` and `FL_LEASE` of the kernel, and `F_WRLCK`. */
const FLOCK = 2;
const LEASE = 32;
const WRITE = 1;

const kindOfFile = (file: Fields): string => {
  const type = numberIn(file, 'mode') & TYPE;
  if (type === DIRECTORY) return 'directory';
  return DEVICES.has(type) ? 'device' : 'file';
};

type Nature = Pick<SavedObject, 'kind' | 'name' | 'same' | 'socket'> & { readonly flags: number };

/** What kind of thing an entry of `files.img` is. */
const natureOf = (files: SavedFiles, id: number): Nature => {
  const entry = files.entry(id) ?? {};
  const [file, memory, pipe, fifo, terminal] = ['reg', 'memfd', 'pipe', 'fifo', 'tty'].map((field) =>
    part(entry, field),
  );
  const nature = (kind: string, from: Fields | undefined, rest: Partial<Nature> = {}): Nature => ({
    kind,
    name: '',
    same: 0,
    flags: numberIn(from, 'flags'),
    ...rest,
  });
  if (file) return nature(kindOfFile(file), file, { name: files.path(id) });
  if (memory) return nature('memfd', memory, { name: files.path(id), same: numberIn(memory, 'inodeId') });
  if (pipe) return nature('pipe', pipe, { same: numberIn(pipe, 'pipeId') });
  const opened = numberIn(fifo ?? terminal, 'regfId');
  const behind = part(files.entry(opened), 'reg');
  if (fifo) return nature('fifo', behind, { name: files.path(opened), same: numberIn(fifo, 'pipeId') });
  if (terminal)
    return nature('terminal', terminal, { name: files.path(opened), same: numberIn(terminal, 'ttyInfoId') });
  const socket = files.socket(entry);
  return socket ? nature('socket', undefined, { socket }) : nature(files.text(id), undefined);
};

const add = (sums: Map<number, number>, key: number, bytes: number): void => {
  sums.set(key, (sums.get(key) ?? 0) + bytes);
};

/** Bytes that wait in pipes and fifos, by the pipe's ID, and in sockets, by the file's. */
const waitingIn = (all: Messages): { channels: Map<number, number>; sockets: Map<number, number> } => {
  const [channels, sockets] = [new Map<number, number>(), new Map<number, number>()];
  for (const one of [...all('pipes-data.img'), ...all('fifo-data.img')])
    add(channels, numberIn(one, 'pipeId'), numberIn(one, 'bytes'));
  for (const one of all('sk-queues.img')) add(sockets, numberIn(one, 'idFor'), numberIn(one, 'length'));
  return { channels, sockets };
};

/** Who holds what, by the IDs of files; what is being passed through a socket is held by nobody. */
const held = (holders: readonly Holder[], all: Messages): Map<number, SavedObject['holders'][number][]> => {
  const byId = new Map<number, SavedObject['holders'][number][]>();
  const holdersOf = (id: number): SavedObject['holders'][number][] => {
    const found = byId.get(id) ?? [];
    byId.set(id, found);
    return found;
  };
  for (const { pid, fds } of holders)
    for (const one of fds) holdersOf(numberIn(one, 'id')).push({ pid, fd: numberIn(one, 'fd') });
  for (const packet of all('sk-queues.img'))
    for (const passed of parts(packet, 'scm')) numbers(passed, 'rights').forEach(holdersOf);
  return byId;
};

export const objectsOf = (files: SavedFiles, holders: readonly Holder[], all: Messages): SavedObject[] => {
  const { channels, sockets } = waitingIn(all);
  const deleted = new Set(all('remap-fpath.img').map((one) => numberIn(one, 'origId')));
  return [...held(holders, all)].map(([id, who]) => {
    const { flags, ...nature } = natureOf(files, id);
    const isChannel = nature.kind === 'pipe' || nature.kind === 'fifo';
    return {
      ...nature,
      reads: (flags & ACCESS) !== WRITE_ONLY,
      writes: (flags & ACCESS) !== READ_ONLY,
      deleted: deleted.has(id),
      holders: who,
      waiting: (isChannel ? channels.get(nature.same) : sockets.get(id)) ?? 0,
    };
  });
};

const lockKind = (flag: number): SavedLock['kind'] =>
  flag === FLOCK ? 'flock' : flag === LEASE ? 'lease' : 'range';

export const locksOf = (files: SavedFiles, holders: readonly Holder[], all: Messages): SavedLock[] =>
  all('filelocks.img').map((lock) => {
    const [pid, fd] = [numberIn(lock, 'pid'), numberIn(lock, 'fd')];
    const descriptors = holders.find((one) => one.pid === pid)?.fds ?? [];
    const descriptor = descriptors.find((one) => numberIn(one, 'fd') === fd);
    return {
      pid,
      path: files.path(numberIn(descriptor, 'id')),
      kind: lockKind(numberIn(lock, 'flag')),
      exclusive: numberIn(lock, 'type') === WRITE,
    };
  });
