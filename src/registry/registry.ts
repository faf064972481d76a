/**
 * What is known of every application, and who may change it: the one place where two wakers, two daemons or two nodes meet.
 *
 * Every change of state is a compare-and-set (`transition`): it names the states, and if wanted the epoch, it expects; the one
 * that comes second is told so by `undefined` and does nothing. The epoch grows with each change of state, so whoever holds
 * an old one cannot act on an application that has moved on. `update` changes facts beside the state and leaves the epoch alone.
 *
 * All methods are asynchronous and atomic, and nothing in them assumes one node. *Durable* changes have survived a power
 * cut once they resolve: registering, removing, and changes of snapshots' records. The
 * others survive the end of the daemon; a power cut, which also ends the processes they speak of, may undo the last of them.
 * Any method fails with REGISTRY_CORRUPT when what is stored cannot be understood, with REGISTRY_UNUSABLE when it cannot be reached
 * and with NO_SPACE when nothing more can be written; then nothing has changed.
 */
import type { AppDetail, ChainSpec, State } from '../api/index.ts';

/** What is being done to an application: set while it is under way, so that a restarted daemon finishes or undoes it. */
export type Operation = 'run' | 'sleep' | 'wake' | 'freeze' | 'thaw' | 'snapshot' | 'rewind' | 'stop' | 'rm';

/** Why an application is in the state `failed`, or why its last operation was undone. */
export type Failure = NonNullable<AppDetail['failure']>;

/** Times are ISO 8601 in UTC, sizes bytes. */
export interface ApplicationRecord {
  readonly aid: string;
  readonly name: string;
  readonly state: State;
  readonly spec: ChainSpec;
  /** Dotted IPv4. */
  readonly address: string;
  readonly hostname: string;
  /** Begins at 1 and grows by one with each change of state. */
  readonly epoch: number;
  readonly createdAt: string;
  /** When the state last changed. */
  readonly since: string;
  /** The snapshot it would wake from. */
  readonly snapshot: string | null;
  /** The environment it runs in. */
  readonly environment: string | null;
  /** The step under way of the operation under way. */
  readonly step: string | null;
  readonly operation: Operation | null;
  readonly failure: Failure | null;
  /** Facts that belong to a room, by that room's own key. */
  readonly data: Readonly<Record<string, unknown>>;
}

/**
 * The facts beside the state that may change; what is left out stays. `data` is merged key by key: a key that is not
 * given stays, one given as `undefined` goes.
 */
export type ApplicationChange = Partial<
  Pick<ApplicationRecord, 'snapshot' | 'environment' | 'step' | 'operation' | 'failure' | 'data'>
>;

export interface AddressRequest {
  /** IPv4 network in CIDR notation, /8 to /30, for example 10.10.0.0/16. Its first host is the gateway. */
  readonly network: string;
  /** The address the user asks for; without it, the first free one after the last given out. */
  readonly requested?: string | undefined;
  /** Addresses of the network that are never given out, beside network, gateway and broadcast. */
  readonly reserved?: readonly string[];
}

export interface Registration extends AddressRequest {
  /** Given by the user, else generated (mission A1). */
  readonly aid?: string | undefined;
  readonly name: string;
  readonly hostname: string;
  readonly spec: ChainSpec;
  /** `registered` unless given. */
  readonly state?: State;
  readonly change?: ApplicationChange;
}

/** What a transition expects to find; without `epoch` any will do. */
export interface Expected {
  readonly states: readonly State[];
  readonly epoch?: number;
}

export interface SnapshotRecord {
  readonly id: string;
  /** Of the application, or the ID of the template, that it belongs to. */
  readonly aid: string;
  readonly takenAt: string;
  /** What made it. */
  readonly kind: 'sleep' | 'snapshot' | 'import' | 'fork' | 'template' | 'clone';
  /** Bytes written for it. */
  readonly bytes: number;
  /** The snapshot whose memory and files it goes on from. */
  readonly parent: string | null;
  /** Path of its manifest, absolute or below the data directory, and the manifest's checksum. */
  readonly manifest: string;
  readonly digest: string;
  /** Whether it is checksummed and flushed; until then it survives the end of the daemon but no power cut. */
  readonly durable: boolean;
  /** Kept however old it is. */
  readonly pinned: boolean;
  /** When it may go, unless pinned. */
  readonly expiresAt: string | null;
  /** Digest of the tree of its files; null while they are not kept yet, or could not be. */
  readonly tree: string | null;
}

/** What may change of a snapshot's record. */
export type SnapshotChange = Partial<
  Pick<SnapshotRecord, 'bytes' | 'manifest' | 'digest' | 'durable' | 'pinned' | 'expiresAt' | 'tree'>
>;

/** What clones begin from: a snapshot of its own, and a name. */
export interface TemplateRecord {
  readonly id: string;
  readonly name: string;
  readonly createdAt: string;
  readonly snapshot: string;
  /** How many clones it has had; the next one's number is one more. */
  readonly instances: number;
  /** Facts that belong to a room, by that room's own key. */
  readonly data: Readonly<Record<string, unknown>>;
}

/** A network of applications beside the daemon's own (mission D7). */
export interface NetworkRecord {
  readonly name: string;
  /** Its interfaces and tables are named after it. */
  readonly number: number;
  readonly cidr: string;
  /** Whether its applications reach what lies outside. */
  readonly outgoing: boolean;
  readonly createdAt: string;
}

/** Addresses that somebody has, as numbers of 32 bits. */
export interface AddressRange {
  readonly owner: string;
  readonly base: number;
  readonly prefix: number;
}

export interface NewNetwork extends Pick<NetworkRecord, 'name' | 'outgoing'> {
  /** One that is free when left out. */
  readonly cidr?: string | undefined;
  /** What else has addresses: the daemon's own network, interfaces of this machine. */
  readonly beside: readonly AddressRange[];
}

/** An environment of the pool: PID and start time of its init name the process for certain, even after a PID was reused. */
export interface EnvironmentRecord {
  readonly id: string;
  /** PID of its init on this machine, and that process's start time in clock ticks since boot (`/proc/PID/stat`, field 22). */
  readonly pid: number;
  readonly startTime: number;
  readonly createdAt: string;
}

export interface Registry {
  /**
   * Durable. Registers an application with an AID, a name and an address of its own. No name equals another application's AID.
   * Fails with NAME_TAKEN, AID_TAKEN and the errors of `allocateAddress`; then nothing is registered or allocated.
   */
  registerApplication(registration: Registration): Promise<ApplicationRecord>;
  /** Registers all of them, or none; durable with the next durable change, or `flush`. Fails as `registerApplication` does. */
  registerApplications(registrations: readonly Registration[]): Promise<ApplicationRecord[]>;
  /** Makes all changes until now durable. */
  flush(): Promise<void>;
  /**
   * Moves an application from one of the expected states to `state`, with a new epoch. Resolves to the new record, or to
   * `undefined` when the application is not (any more) as expected or gone: somebody else was first.
   */
  transition(
    aid: string,
    expected: Expected,
    state: State,
    change?: ApplicationChange,
  ): Promise<ApplicationRecord | undefined>;
  /**
   * In one transaction: the snapshot is recorded, and the application is `asleep` on it. `undefined` when the epoch is
   * not the expected one; then neither has happened, and the snapshot's files belong to nobody. It waits for no disk: the
   * processes are frozen meanwhile.
   */
  commitSleep(
    aid: string,
    expectedEpoch: number,
    snapshot: SnapshotRecord,
    change?: ApplicationChange,
  ): Promise<ApplicationRecord | undefined>;
  /** Changes facts beside the state. Fails with APP_NOT_FOUND. */
  update(aid: string, change: ApplicationChange): Promise<ApplicationRecord>;
  find(nameOrAid: string): Promise<ApplicationRecord | undefined>;
  /** Oldest first. */
  list(): Promise<ApplicationRecord[]>;
  /** Durable. Forgets the application, its address and its snapshots; files are the caller's. False when it was not there. */
  remove(aid: string): Promise<boolean>;

  /**
   * Durable. Gives an AID an address; the one it has already, if it has one. Fails with BAD_NETWORK, BAD_REQUEST (not an
   * address), ADDRESS_OUTSIDE, ADDRESS_IN_USE (by an application, the gateway, a reserved one) and ADDRESSES_EXHAUSTED.
   */
  allocateAddress(request: AddressRequest & { readonly aid: string }): Promise<string>;
  /** Durable. For an AID that is not registered; an application keeps its address until `remove`. */
  releaseAddress(aid: string): Promise<void>;

  addSnapshot(snapshot: SnapshotRecord): Promise<void>;
  getSnapshot(id: string): Promise<SnapshotRecord | undefined>;
  /** Oldest first; those of one application, or all. */
  listSnapshots(aid?: string): Promise<SnapshotRecord[]>;
  /** Durable. `undefined` when it is gone. */
  updateSnapshot(id: string, change: SnapshotChange): Promise<SnapshotRecord | undefined>;
  /** Durable. False when it was not there. */
  removeSnapshot(id: string): Promise<boolean>;

  /** Durable. A template and its snapshot. Fails with TEMPLATE_TAKEN. */
  addTemplate(template: TemplateRecord, snapshot: SnapshotRecord): Promise<void>;
  findTemplate(nameOrId: string): Promise<TemplateRecord | undefined>;
  /** Oldest first. */
  listTemplates(): Promise<TemplateRecord[]>;
  /** Numbers for `count` new clones; resolves to the first. A number is never given twice. Fails with TEMPLATE_NOT_FOUND. */
  countInstances(id: string, count: number): Promise<number>;
  /** Durable. Forgets a template and its snapshot; files are the caller's. False when it was not there. */
  removeTemplate(id: string): Promise<boolean>;

  /** Durable. Fails with NETWORK_TAKEN, BAD_NETWORK (also when it overlaps another) and NETWORKS_EXHAUSTED. */
  addNetwork(network: NewNetwork): Promise<NetworkRecord>;
  /** Oldest first. */
  listNetworks(): Promise<NetworkRecord[]>;
  /** Durable. Fails with NETWORK_IN_USE while applications are in it. False when it was not there. */
  removeNetwork(name: string): Promise<boolean>;

  addEnvironment(environment: Omit<EnvironmentRecord, 'createdAt'>): Promise<EnvironmentRecord>;
  /** Oldest first. */
  listEnvironments(): Promise<EnvironmentRecord[]>;
  removeEnvironment(id: string): Promise<boolean>;

  /** Resolves when everything is written and the file is closed; no method may be called after it. */
  close(): Promise<void>;
}
