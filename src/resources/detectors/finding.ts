/**
 * A detector looks at one process of an application and names what would keep the engine (CRIU 4.1) from saving or restoring
 * it. Detectors are pure; `blockers.ts` has the table of them. The rules are the engine's own, as its source has them.
 */
import type { Blocker } from '../../api/index.ts';
import type { ApplicationFacts, ProcessFacts } from '../facts.ts';

/** Stable: scripts rely on them, and docs/check.md explains each. */
export const KINDS = [
  'io_uring',
  'userfaultfd',
  'perf_event',
  'bpf',
  'kvm',
  'seccomp',
  'kernel-object',
  'pidfd',
  'device',
  'terminal',
  'message-queue',
  'secret-memory',
  'mount',
  'deleted-file',
  'watch',
  'unix-socket',
  'socket',
  'netlink',
  'in-flight',
  'pipe',
  'debugger',
  'namespace',
  'session',
  'threads',
  'exec',
] as const;

export type Finding = Omit<Blocker, 'kind' | 'pid' | 'process'> & { readonly kind: (typeof KINDS)[number] };

/** An application with what detectors ask for more than once. */
export interface Judged extends ApplicationFacts {
  /** The processes that a snapshot would hold. */
  readonly members: readonly ProcessFacts[];
  /** Inodes of all sockets that they hold. */
  readonly held: ReadonlySet<number>;
  /** IDs of mounts that another one covers whole. */
  readonly covered: ReadonlySet<number>;
  /** The chain's first process; undefined when it has ended. */
  readonly first: ProcessFacts | undefined;
}

export type Detector = (process: ProcessFacts, application: Judged) => readonly Finding[];

/** What holds for every descriptor of an object that the engine has no code for. */
export const UNKNOWN_OBJECT = 'CRIU cannot save this kind of kernel object';
