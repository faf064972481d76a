/**
 * What the policy is told: facts, all from one moment, collected by sensors. Times are milliseconds on one clock that never jumps;
 * memory is bytes; processors are cores.
 */

/** `other` is any state that neither begins nor ends here: stopped, failed, going back to a snapshot, and the like. */
export type Standing = 'running' | 'frozen' | 'asleep' | 'starting' | 'waking' | 'sleeping' | 'other';

export interface Application {
  readonly aid: string;
  readonly name: string;
  readonly service: string;
  readonly state: Standing;
  /** When it was last started, woken or put to sleep, or turned back on its way. Freezing and thawing leave it as it is. */
  readonly since: number;
  /** 0 to 100; who has less gives way. */
  readonly priority: number;
  /** Milliseconds of idleness after which it is frozen, and put to sleep; null for never. */
  readonly freezeAfter: number | null;
  readonly sleepAfter: number | null;
  /** What sleep would free now. */
  readonly memoryBytes: number;
  /** What it takes when it is awake, as far as is known: what it held when it last slept, at least. */
  readonly expectedBytes: number;
  /** Cores used lately. */
  readonly cpu: number;
  /** The most that it can use; null for all. */
  readonly cpuLimit: number | null;
  /** Requests that have begun and not ended. Those of ignored health checkers, and open connections as such, are not among them. */
  readonly requestsOpen: number;
  /** When it last computed, or received a packet or request that counts: not from an ignored address, not to a port nobody listens on. */
  readonly activeAt: number;
  /** When it last received a packet that counts; it may still be at work for it. */
  readonly askedAt: number;
  /** Milliseconds that its last wake and sleep took; null when there was none. */
  readonly wakeTook: number | null;
  readonly sleepTook: number | null;
  /** The policy leaves it alone until then: something has just failed with it, or a user has just asked for this state. */
  readonly blockedUntil: number;
  /** Whether a decision of the policy made it from a template: only such instances are removed again. */
  readonly made: boolean;
}

/** How busy a service is, as its gateway measures it. */
export interface Load {
  /** Requests per second in all, without ignored ones. */
  readonly rate: number;
  /** Requests that wait because every instance has as many as it may. */
  readonly queue: number;
  /** Of the last seconds, the mean; null without requests. */
  readonly responseMs: number | null;
}

export interface Service {
  readonly name: string;
  /** The AIDs of its instances. */
  readonly instances: readonly string[];
  /** How many stay awake, asked or not. */
  readonly min: number;
  /** How many there are at most, awake or asleep. */
  readonly max: number;
  /** What further instances are made from; null when they are not. */
  readonly template: string | null;
  /** Of the whole service, and of instances made from its template. */
  readonly priority: number;
  readonly expectedBytes: number;
  /** Null when no gateway stands before it. */
  readonly load: Load | null;
}

/** Part of the last ten seconds, in percent, in which somebody waited for memory or a processor (/proc/pressure, avg10). */
export interface Pressure {
  readonly memorySome: number;
  readonly memoryFull: number;
  readonly cpuSome: number;
}

export interface Machine {
  /** What applications can have together with everything else: the machine's memory, or the daemon's share of it. */
  readonly memoryBytes: number;
  readonly availableBytes: number;
  /** What the policy leaves free. */
  readonly reserveBytes: number;
  readonly cores: number;
  /** Null where the kernel does not tell. */
  readonly pressure: Pressure | null;
}

/** A wake that a request asks for, and that has not begun. */
export interface Wait {
  readonly aid: string;
  readonly since: number;
}

export interface View {
  readonly now: number;
  readonly machine: Machine;
  readonly applications: ReadonlyMap<string, Application>;
  readonly services: ReadonlyMap<string, Service>;
  readonly waiting: readonly Wait[];
}
