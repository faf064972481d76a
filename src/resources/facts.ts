/**
 * What is known about an application's processes, as plain data: read once from the kernel (`read-application.ts`), then
 * judged and described without another look. Every name and path in it comes from applications and is untrusted.
 */
import type { InetSocket, UnixSocket } from '../kernel/index.ts';

export type FileType = 'file' | 'directory' | 'link' | 'character' | 'block' | 'fifo' | 'socket' | 'other';

/** An inode as stat(2) tells of it. */
export interface InodeFacts {
  readonly type: FileType;
  readonly inode: number;
  /** Names that are left of it. */
  readonly links: number;
  /** On the disk: of a sparse file, less than its length. */
  readonly bytes: number;
  /** Of a device file. */
  readonly major: number;
  readonly minor: number;
}

export interface DescriptorFacts extends InodeFacts {
  readonly fd: number;
  /** As the kernel names it: a path, `socket:[INODE]`, `pipe:[INODE]`, `anon_inode:[eventfd]`. */
  readonly target: string;
  /** O_* as it was opened. */
  readonly flags: number;
  /** ID of its mount, as in mountinfo; -1 when unknown. */
  readonly mount: number;
  /** File system magic number, where its mount is none of the application's. */
  readonly fileSystem?: number;
  /** What else /proc/PID/fdinfo/FD says. */
  readonly info: readonly string[];
}

/** A file, or another object with a name, that is mapped into memory; once a process. */
export interface MappedFacts extends InodeFacts {
  readonly target: string;
}

/** Bytes in use. */
export interface MemoryFacts {
  /** Its own, of files, and shared with other processes. */
  readonly anonymous: number;
  readonly file: number;
  readonly shared: number;
}

export interface ProcessFacts {
  readonly systemPid: number;
  /** Virtual: inside the application. */
  readonly pid: number;
  /** System PID of its parent. */
  readonly systemParent: number;
  readonly name: string;
  readonly uid: number;
  /** One letter, as in /proc/PID/status. */
  readonly state: string;
  readonly threads: number;
  /** System PID of its debugger, or 0. */
  readonly tracer: number;
  /** Seccomp filters on it, those that it inherited too. */
  readonly filters: number;
  /** Virtual ID of its session, 0 when that was made outside. */
  readonly session: number;
  /** Bytes in use, all kinds together. */
  readonly rss: number;
  readonly memory: MemoryFacts;
  /** By type, as /proc/PID/ns names them: `net` is `net:[4026531840]`. */
  readonly namespaces: Readonly<Record<string, string>>;
  readonly descriptors: readonly DescriptorFacts[];
  readonly mapped: readonly MappedFacts[];
  /** Timers of timer_create(2): ID and clock. */
  readonly timers: readonly { id: number; clock: number }[];
}

export interface MountFacts {
  readonly id: number;
  readonly parent: number;
  readonly point: string;
  /** `MAJOR:MINOR` of its file system. */
  readonly device: string;
  readonly type: string;
  /** Options of the file system. */
  readonly options: readonly string[];
}

/** Every socket of the application's network namespace, by inode. */
export interface SocketFacts {
  readonly tcp: ReadonlyMap<number, InetSocket>;
  readonly udp: ReadonlyMap<number, InetSocket>;
  readonly unix: ReadonlyMap<number, UnixSocket>;
  /** Bytes not yet read. */
  readonly netlink: ReadonlyMap<number, number>;
  /** Those that none of the tables above lists, by the kernel's name for their protocol. */
  readonly unlisted: ReadonlyMap<number, string>;
}

export interface ApplicationFacts {
  /** System PID of the chain's first process. */
  readonly root: number;
  readonly processes: readonly ProcessFacts[];
  readonly mounts: ReadonlyMap<number, MountFacts>;
  readonly sockets: SocketFacts;
}

/** What an application is, to this room. */
export interface ApplicationProcesses {
  /** System PIDs of its processes, all in one PID namespace of their own. */
  readonly pids: readonly number[];
  /** System PID of the environment's PID 1, which is no part of the application. */
  readonly initPid: number;
  /** System PID of the chain's first process. */
  readonly rootPid: number;
}

/** The inode of a descriptor that is a socket. */
export const socketInode = (target: string): number | undefined => {
  const match = /^socket:\[(\d+)\]$/.exec(target);
  return match === null ? undefined : Number(match[1]);
};

/** Inodes of all sockets that these processes hold. */
export const heldSockets = (processes: readonly ProcessFacts[]): ReadonlySet<number> =>
  new Set(
    processes.flatMap(({ descriptors }) =>
      descriptors.map(({ target }) => socketInode(target)).filter((inode) => inode !== undefined),
    ),
  );

/** The processes that descend from the chain's first, itself included: those that a snapshot holds. */
export const members = ({
  root,
  processes,
}: Pick<ApplicationFacts, 'root' | 'processes'>): ProcessFacts[] => {
  const parents = new Map(processes.map(({ systemPid, systemParent }) => [systemPid, systemParent]));
  // Parents are read one after another, so a tree that changes meanwhile might show a loop.
  const descends = (pid: number | undefined, left = parents.size): boolean =>
    pid === root || (pid !== undefined && left > 0 && descends(parents.get(pid), left - 1));
  return processes.filter(({ systemPid }) => descends(systemPid));
};
