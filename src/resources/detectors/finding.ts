/**
 * A detector looks at one process of an application and names what would keep the engine (CRIU 4.1) from saving or restoring
 * it. Detectors are pure; `blockers.ts` has the table of them. The rules are the engine's own, as its source has them.
 */
import type { Blocker } from '../../api/index.ts';
import type { ApplicationFacts, ProcessFacts } from '../facts.ts';

export type Finding = Omit<Blocker, 'pid' | 'process'>;

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
