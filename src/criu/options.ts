/**
 * The options of every dump and restore, and why. Mount, network, UTS, PID and user namespaces exist already and are
 * not the engine's business; it saves and makes the processes and their IPC namespace.
 */
import type { Fields } from './schema.ts';

/** `criu_cg_mode` and `criu_network_lock_method` of CRIU's rpc.proto. */
const CGROUPS_IGNORE = 0;
const NETWORK_LOCK_SKIP = 3;
/** Warnings and errors: what a failure is explained with. */
const LOG_LEVEL = 2;
/** Deleted files up to this size travel inside the snapshot; larger ones block it. In bytes. */
export const GHOST_LIMIT = 256 << 20;

const common: Fields = {
  tcpEstablished: true,
  fileLocks: true,
  linkRemap: true,
  extUnixSk: false,
  ghostLimit: GHOST_LIMIT,
  manageCgroups: true,
  manageCgroupsMode: CGROUPS_IGNORE,
  // The veth is off the bridge before a dump and until after a restore: nothing needs locking out.
  networkLock: NETWORK_LOCK_SKIP,
  // Inside a user namespace this is how the engine must run; outside it saves what would not be restored anyway, and
  // lets the engine keep its kernel probes where we say.
  unprivileged: true,
  logLevel: LOG_LEVEL,
};

export interface DumpPlaces {
  /** PID of the root process, inside the application. */
  readonly pid: number;
  /** Descriptors of the engine's parent: the images' directory and the log's. */
  readonly imagesFd: number;
  readonly workFd: number;
}

export const dumpOptions = ({ pid, imagesFd, workFd }: DumpPlaces): Fields => ({
  ...common,
  pid,
  imagesDirFd: imagesFd,
  workDirFd: workFd,
  leaveRunning: true,
  logFile: 'dump.log',
});

export interface RestorePlaces extends Omit<DumpPlaces, 'pid'> {
  /** Connections that were open come back closed: their other ends have gone on without them. */
  readonly closeConnections: boolean;
}

export const restoreOptions = ({ imagesFd, workFd, closeConnections }: RestorePlaces): Fields => ({
  ...common,
  imagesDirFd: imagesFd,
  workDirFd: workFd,
  tcpClose: closeConnections,
  // The clocks go on where they stopped: PID 1 has made the time namespace and set its offsets.
  joinNs: [{ ns: 'time', nsFile: '/proc/1/ns/time_for_children' }],
  logFile: 'restore.log',
});
