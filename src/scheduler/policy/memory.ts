/**
 * What the policy remembers between two looks: only of applications and services that it has done something with. Values are never
 * changed: a look that changes one makes new ones.
 */
import type { Code, Kind } from './decision.ts';
import type { Standing } from './view.ts';

/** A decision that has not shown in the application's state yet. */
interface Pending {
  readonly kind: Kind;
  readonly state: Standing;
  readonly at: number;
}

export interface Note {
  readonly pending: Pending | null;
  /** By how much its idle time is stretched, 1 or more. */
  readonly patience: number;
  /** When the policy last put it to sleep; null when it has been awake since, or the sleep was not the policy's. */
  readonly sleptAt: number | null;
  /** Whether that was for idleness alone, after so many milliseconds of it; null when others needed its room. */
  readonly sleptIdle: number | null;
  /** Asleep though it was at work, or without an idle time: to be brought back after this delay; null when not. */
  readonly owed: number | null;
  /** The delay that it had last, so that the next is longer. */
  readonly owedBefore: number;
  /** When it was frozen for want of processors; null when it was not. */
  readonly cpuFrozenAt: number | null;
  /** Not frozen for want of processors before. */
  readonly cpuTurnUntil: number;
  /** Why it waits for its wake, as far as that was told, and when. */
  readonly held: { readonly code: Code; readonly at: number } | null;
}

export const BLANK: Note = {
  pending: null,
  patience: 1,
  sleptAt: null,
  sleptIdle: null,
  owed: null,
  owedBefore: 0,
  cpuFrozenAt: null,
  cpuTurnUntil: 0,
  held: null,
};

export interface ServiceNote {
  /** Milliseconds that a response takes when the service has little to do; null when not known. */
  readonly usual: number | null;
  /** When that was last adjusted. */
  readonly usualAt: number;
  readonly overSince: number | null;
  readonly calmSince: number | null;
  /** The last step up: when, and rate and response time before it. */
  readonly outAt: number | null;
  readonly outRate: number;
  readonly outResponse: number;
  readonly outWait: number;
  /** The last step down, and how long it has to be calm for the next. */
  readonly inAt: number | null;
  readonly calmFor: number;
  /** Requests a second of each instance when it was last overloaded; null when it never was. */
  readonly fullRate: number | null;
  /** Who gets no new requests, and since when. */
  readonly draining: { readonly aid: string; readonly since: number } | null;
  /** How many instances there will be, when those being made are there; given up at `until`. */
  readonly making: { readonly total: number; readonly until: number } | null;
}

export interface Memory {
  readonly notes: ReadonlyMap<string, Note>;
  readonly services: ReadonlyMap<string, ServiceNote>;
  /** What the last wakes took, a moving average; 0 before the first. */
  readonly usualBytes: number;
  /** When the last request for a wake was granted. */
  readonly admittedAt: number;
  /** When something was last done about pressure on memory, and on processors. */
  readonly pressureAt: number;
  readonly cpuAt: number;
}

/** Of a policy that has not looked yet. */
export const NOTHING: Memory = {
  notes: new Map(),
  services: new Map(),
  usualBytes: 0,
  admittedAt: -Infinity,
  pressureAt: -Infinity,
  cpuAt: -Infinity,
};
