/** What the steps of an operation share. */
import type { MemoryChoice, Timing, WokenMemory } from '../api/index.ts';
import { AppShotError } from '../common/index.ts';
import type { KeyedLock, Logger } from '../common/index.ts';
import type { Engine, Schema } from '../criu/index.ts';
import type { Environment, LayerImages, Pool } from '../environments/index.ts';
import type { Gateway } from '../gateway/index.ts';
import type { NameServer } from '../names/index.ts';
import type { Networks, Publisher } from '../network/index.ts';
import type { ApplicationRecord, Registry, SnapshotRecord } from '../registry/index.ts';
import type {
  Fingerprint,
  LayerEntry,
  Layout,
  Manifest,
  ObjectStore,
  ProcessFilling,
  Reachable,
  SnapshotStore,
} from '../snapshots/index.ts';
import type { Birth } from './cloning/birth.ts';
import type { Keeper } from './keeper.ts';
import type { MemoryAbilities } from './memory.ts';
import type { Faults } from './faults.ts';
import type { OutsideNames } from './outside.ts';
import type { Roster } from './roster.ts';

/** What every application of a daemon needs. */
export interface House {
  readonly registry: Registry;
  readonly pool: Pool;
  readonly networks: Networks;
  readonly names: NameServer;
  /** Undefined when no hosts file is to have names. */
  readonly outside: OutsideNames | undefined;
  readonly roster: Roster;
  /** Undefined where the kernel cannot. */
  readonly publisher: Publisher | undefined;
  /** Undefined where the daemon was started without one. */
  readonly gateway: Gateway | undefined;
  readonly store: SnapshotStore;
  /** There is one change of an application at a time. */
  readonly lock: KeyedLock;
  /** Contents of files. */
  readonly objects: ObjectStore;
  /** Files of templates. */
  readonly images: LayerImages;
  /** Makes snapshots durable, and removes those whose time has come. */
  readonly keeper: Keeper;
  readonly layout: Layout;
  readonly engine: Engine;
  /** Where `engine` lives. */
  readonly engineDirectory: string;
  readonly schema: Schema;
  readonly memory: MemoryAbilities;
  /** Directories of this machine that no application may see. */
  readonly hidden: readonly string[];
  /** System PIDs of the processes in an environment. */
  readonly processesIn: (environment: string) => number[];
  /** The files by which a process joins the control groups of an environment. */
  readonly memberFiles: (environment: string) => string[];
  /** Bytes of memory that an environment has. */
  readonly memoryOf: (environment: string) => number;
  readonly limit: (environment: string, limits: ApplicationRecord['spec']['limits']) => void;
  readonly log: Logger;
  readonly faults: Faults;
  readonly emit: (
    type: string,
    record: ApplicationRecord,
    extra?: { reason?: string; data?: Record<string, unknown> },
  ) => void;
}

/** A dump that has been taken while the engine still holds the processes frozen. */
export interface HeldDump {
  readonly snapshot: string;
  /** Milliseconds of `performance.now()` at which the processes froze. */
  readonly frozenAt: number;
  readonly clocks: Manifest['clocks'];
  readonly processes: Manifest['processes'];
}

/** One operation on one application, from its first step to its last. Steps fill in what later ones need. */
export interface Work {
  record: ApplicationRecord;
  readonly house: House;
  readonly timings: Timing[];
  /** Set when somebody wants a falling-asleep application awake: it turns back at the next step. */
  wanted: boolean;
  /** Only a command turns it back: its memory is needed. */
  readonly firm?: boolean;
  /** Set once the outcome stands: a failure after that undoes nothing. */
  committed: boolean;
  environment?: Environment;
  reachable?: Reachable;
  /** The snapshot being taken. */
  snapshot?: string;
  held?: HeldDump;
  /** Set when the engine ended although nobody had let go of it: what it held goes on, and the dump is out of date. */
  lost?: unknown;
  /** Lets go of the engine that holds frozen processes: they go on. False when it ended without having answered. */
  release?: () => Promise<boolean>;
  /** The machine and the files that the processes have mapped, as they are when the snapshot is taken. */
  fingerprint?: Fingerprint;
  /** Bytes written for the snapshot. */
  bytes?: number;
  /** Milliseconds for which the processes were frozen. */
  frozenMs?: number;
  /** The snapshot that was taken. */
  taken?: SnapshotRecord;
  /** What a snapshot is to be: how long it is kept, and what made it. */
  retention?: { pinned: boolean; expiresAt: string | null };
  /** The snapshot that is woken. */
  manifest?: Manifest;
  images?: string;
  /** How memory is to come back, as far as somebody has asked; and how it does. */
  memory?: MemoryChoice;
  woken?: WokenMemory;
  /** Layers that the processes have mapped. */
  layers?: readonly LayerEntry[];
  /** What must be put into anonymous memory before the processes run. */
  fillings?: readonly ProcessFilling[];
  /** What a clone needs when it wakes for the first time. */
  birth?: Birth;
  /** Connections of the snapshot are of the past: they come back closed. */
  closeConnections?: boolean;
  /** Set when packets reach it although the engine has not said its last word. */
  connected?: boolean;
  /** Differences of the machine that need not matter are let pass. */
  force?: boolean;
  /** Milliseconds for a `stop` to end by itself. */
  graceMs?: number;
  /** What must be let go of when the operation is over, however it ends. */
  readonly closers: (() => void)[];
}

/** The work's environment; a step that needs one comes after the step that takes one. */
export const environmentOf = (work: Work): Environment => {
  if (work.environment) return work.environment;
  throw new Error(`${work.record.name} has no environment`);
};

/** Gives up a sleep that somebody does not want any more. */
export const turnBack = (work: Work): void => {
  if (work.wanted) throw new AppShotError('TURNED_BACK', { name: work.record.name });
};
