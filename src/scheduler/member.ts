/** One application as the policy sees it, kept from look to look: what its record says, and what was measured. */
import type { Activity } from '../application/index.ts';
import { originOf, reachableOf, serviceOf } from '../application/index.ts';
import type { ApplicationRecord } from '../registry/index.ts';
import type { Observation } from './idle.ts';
import { TUNING } from './policy/index.ts';
import type { Application, Standing } from './policy/index.ts';

/** What an application takes of which nothing is known yet, in bytes. */
const UNKNOWN_BYTES = 64 << 20;

/** Of applications whose specification does not say. */
export const USUAL_PRIORITY = 50;

const STANDINGS: Partial<Record<ApplicationRecord['state'], Standing>> = {
  registered: 'starting',
  starting: 'starting',
  running: 'running',
  // It serves on, and is one of its service's instances.
  snapshotting: 'running',
  freezing: 'running',
  frozen: 'frozen',
  thawing: 'frozen',
  sleeping: 'sleeping',
  asleep: 'asleep',
  waking: 'waking',
};

/** What is being done with it by a decision: its record says so a moment later, or not at every moment. */
export type Doing = 'sleep' | 'wake' | 'retire';

const SHOWN: Record<Doing, { readonly instead: readonly Standing[]; readonly as: Standing }> = {
  sleep: { instead: ['running', 'frozen'], as: 'sleeping' },
  wake: { instead: ['asleep'], as: 'waking' },
  retire: { instead: ['running', 'frozen', 'asleep', 'sleeping', 'waking'], as: 'other' },
};

const standingOf = ({ state }: ApplicationRecord, doing: Doing | undefined): Standing => {
  const standing = STANDINGS[state] ?? 'other';
  const shown = doing && SHOWN[doing];
  return shown?.instead.includes(standing) ? shown.as : standing;
};

/** Whether it has just been started, woken or put to sleep, or was turned back on its way: to be frozen, thawed or saved is none of these. */
const hasArrived = (before: Standing, after: Standing): boolean =>
  after === 'asleep' || (after === 'running' && ['starting', 'waking', 'sleeping'].includes(before));

const milliseconds = (seconds: number | undefined): number | null =>
  seconds === undefined ? null : seconds * 1000;

const tookOf = (record: ApplicationRecord, key: 'lastWake' | 'lastSleep'): number | null =>
  (record.data[key] as { ms: number } | undefined)?.ms ?? null;

/** States in which it has no processes. */
const EMPTY: ReadonlySet<string> = new Set<ApplicationRecord['state']>([
  'asleep',
  'rewinding',
  'stopped',
  'failed',
]);

type Changing<T> = { -readonly [key in keyof T]: T[key] };

export class Member implements Changing<Application> {
  readonly aid: string;
  record: ApplicationRecord;
  name = '';
  service = '';
  state: Standing = 'other';
  since: number;
  priority = USUAL_PRIORITY;
  freezeAfter: number | null = null;
  sleepAfter: number | null = null;
  memoryBytes = 0;
  expectedBytes = UNKNOWN_BYTES;
  cpu = 0;
  cpuLimit: number | null = null;
  /** Requests under way, as the gateway counts them; of a sleeper, the connections that were open. */
  requests = 0;
  /** Connections, of one that gets no new requests; 0 of others. */
  connections = 0;
  activeAt: number;
  askedAt: number;
  wakeTook: number | null = null;
  sleepTook: number | null = null;
  blockedUntil = 0;
  made = false;
  /** What was measured last while it ran; undefined until then. */
  observation: Observation | undefined;
  doing: Doing | undefined;
  /** The last about it. */
  decision: Activity['decision'] = null;

  /** `now` is on the policy's clock, and `wall` the same moment in milliseconds since 1970. */
  constructor(record: ApplicationRecord, now: number, wall: number) {
    this.aid = record.aid;
    this.record = record;
    this.since = Math.min(now, now - (wall - Date.parse(record.since)));
    this.activeAt = this.since;
    this.askedAt = this.since;
    this.#read(record);
    this.state = standingOf(record, undefined);
  }

  #read(record: ApplicationRecord): void {
    const { spec, data } = record;
    this.record = record;
    this.name = record.name;
    this.service = serviceOf(record);
    this.priority = spec.policy?.priority ?? USUAL_PRIORITY;
    this.freezeAfter = milliseconds(spec.policy?.freeze);
    this.sleepAfter = milliseconds(spec.idle);
    this.cpuLimit = spec.limits.cpus ?? null;
    this.wakeTook = tookOf(record, 'lastWake');
    this.sleepTook = tookOf(record, 'lastSleep');
    this.made = data['made'] === true;
    if (this.#held > 0) this.expectedBytes = this.#held;
  }

  /** What it had when it last slept, in bytes; 0 when it never did. */
  get #held(): number {
    const held = this.record.data['held'];
    return typeof held === 'number' ? held : 0;
  }

  /** Whether it still grows to what it takes. */
  #isSettling(now: number): boolean {
    return now - this.since < TUNING.settling;
  }

  /** Whether anything is known of what it takes when it is awake. */
  isKnown(now: number): boolean {
    return this.#held > 0 || (this.memoryBytes > 0 && !this.#isSettling(now));
  }

  /** It has been looked at: so much memory is its own now, in bytes. */
  weigh(bytes: number, now: number): void {
    this.memoryBytes = bytes;
    this.expectedBytes = Math.max(bytes, this.#isSettling(now) ? this.expectedBytes : this.#held);
  }

  /** What gets no new requests is done when nobody is connected any more, by whatever way. */
  get requestsOpen(): number {
    return Math.max(this.requests, this.connections);
  }

  /** What it was cloned from. */
  get template(): string | undefined {
    return originOf(this.record)?.id;
  }

  /** Takes over what its record says now, and what is being done with it; tells whether either has changed. */
  update(record: ApplicationRecord, doing: Doing | undefined, now: number): boolean {
    if (record === this.record && doing === this.doing) return false;
    if (record !== this.record) this.#read(record);
    this.doing = doing;
    const before = this.state;
    this.state = standingOf(record, doing);
    if (before === this.state) return true;
    if (hasArrived(before, this.state)) this.since = now;
    // What runs is measured; a sleeper has what was open when it fell asleep.
    this.requests = this.state === 'asleep' ? (reachableOf(record)?.connections.length ?? 0) : 0;
    this.connections = 0;
    if (this.state !== 'running') this.cpu = 0;
    // What let it go on was something to do, and what was measured before says nothing of it.
    const isEmpty = EMPTY.has(record.state);
    if (before === 'frozen' || isEmpty) this.observation = undefined;
    if (before === 'frozen') {
      this.activeAt = now;
      this.askedAt = now;
    }
    if (isEmpty) this.memoryBytes = 0;
    return true;
  }
}
