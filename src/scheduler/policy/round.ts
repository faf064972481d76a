/**
 * One look: what it sees, what it has decided so far, and what it will remember. It lives for one call of `decide` and changes nothing that
 * was given to it; memory is copied when the first note changes, so a look that changes none costs nothing.
 */
import { decision } from './decision.ts';
import type { Code, Decision, Figures, Kind } from './decision.ts';
import { BLANK } from './memory.ts';
import type { Memory, Note, ServiceNote } from './memory.ts';
import type { Tuning } from './tuning.ts';
import type { Application, Service, View } from './view.ts';

/** What is left to hand out, as the look goes on. */
export interface Stock {
  /** Bytes that can be given to wakes now: what is available, without the reserve and what is promised already. */
  free: number;
  /** Bytes that sleeps under way will free. */
  coming: number;
  /** Of these, what is in use now. */
  leaving: number;
  /** Wakes and sleeps under way. */
  waking: number;
  sleeping: number;
  /** Applications in memory. */
  awake: number;
  /** Cores that all of them use. */
  cpu: number;
}

/** The longest time between two looks. */
const LONGEST_MS = 60_000;
const SHORTEST_MS = 20;

export const isInMemory = ({ state }: Application): boolean => state === 'running' || state === 'frozen';

const isBlank = (note: Note): boolean =>
  note.pending === null &&
  note.patience === 1 &&
  note.sleptAt === null &&
  note.owed === null &&
  note.owedBefore === 0 &&
  note.cpuFrozenAt === null &&
  note.cpuTurnUntil === 0 &&
  note.held === null;

export class Round {
  readonly view: View;
  readonly tuning: Tuning;
  readonly before: Memory;
  readonly now: number;
  readonly decisions: Decision[] = [];
  readonly stock: Stock;
  /** Bytes to keep ready for the next wakes. */
  readonly ready: number;
  /** How often victims were looked for. */
  searches = 0;
  /** Those that are frozen for want of processors. */
  readonly chilled: Application[] = [];
  /** How many notes belong to somebody: the others are forgotten at the end. */
  known = 0;
  knownServices = 0;
  usualBytes: number;
  admittedAt: number;
  pressureAt: number;
  cpuAt: number;
  #next = LONGEST_MS;
  #notes: Map<string, Note> | undefined;
  #services: Map<string, ServiceNote> | undefined;

  constructor(before: Memory, view: View, tuning: Tuning) {
    this.before = before;
    this.view = view;
    this.tuning = tuning;
    this.now = view.now;
    this.usualBytes = before.usualBytes;
    this.admittedAt = before.admittedAt;
    this.pressureAt = before.pressureAt;
    this.cpuAt = before.cpuAt;
    const { availableBytes, reserveBytes, memoryBytes } = view.machine;
    this.ready =
      view.now - before.admittedAt > tuning.readyFor
        ? 0
        : Math.min(tuning.readyWakes * before.usualBytes, tuning.readyShare * memoryBytes);
    this.stock = {
      free: availableBytes - reserveBytes,
      coming: 0,
      leaving: 0,
      waking: 0,
      sleeping: 0,
      awake: 0,
      cpu: 0,
    };
  }

  note(aid: string): Note | undefined {
    return (this.#notes ?? this.before.notes).get(aid);
  }

  /** Remembers something about an application, beside what is known of it. */
  remember(aid: string, change: Partial<Note>): Note {
    this.#notes ??= new Map(this.before.notes);
    const note = { ...(this.#notes.get(aid) ?? BLANK), ...change };
    if (isBlank(note)) this.#notes.delete(aid);
    else this.#notes.set(aid, note);
    return note;
  }

  service(name: string): ServiceNote | undefined {
    return (this.#services ?? this.before.services).get(name);
  }

  rememberService(name: string, note: ServiceNote | undefined): void {
    this.#services ??= new Map(this.before.services);
    if (note) this.#services.set(name, note);
    else this.#services.delete(name);
  }

  #forget(aid: string): void {
    this.#notes ??= new Map(this.before.notes);
    this.#notes.delete(aid);
  }

  /** Decides something about an application that leads to another state: until it shows nothing else is decided about it. */
  decide(kind: Kind, app: Application, code: Code, because: Figures, change: Partial<Note> = {}): void {
    this.tell(kind, app, code, because);
    this.remember(app.aid, { ...change, pending: { kind, state: app.state, at: this.now } });
    this.soon(this.now + this.tuning.decisionLost);
  }

  tell(
    kind: Kind,
    on: { readonly aid: string | null; readonly service: string },
    code: Code,
    because: Figures,
  ): void {
    this.decisions.push(decision(kind, on, code, because));
  }

  /** Whether something may be decided about it now. */
  isFree(app: Application): boolean {
    return app.blockedUntil <= this.now && !this.note(app.aid)?.pending;
  }

  /** Whether sleep would interrupt it: it answers a request, computes, or was frozen while it did. */
  isAtWork(app: Application): boolean {
    if (app.requestsOpen > 0 || app.cpu > this.tuning.busyCores) return true;
    const note = this.note(app.aid);
    return note !== undefined && (note.cpuFrozenAt !== null || note.cpuTurnUntil > this.now);
  }

  isAwake(app: Application): boolean {
    const kind = this.note(app.aid)?.pending?.kind;
    if (isInMemory(app)) return kind !== 'sleep' && kind !== 'retire';
    if (app.state === 'asleep') return kind === 'wake' || kind === 'admit';
    return app.state === 'waking' || app.state === 'starting';
  }

  /** Bytes beyond what it has that it may still take soon: it is on its way to being awake, or has just arrived. */
  promised(app: Application): number {
    const arrived = app.state !== 'waking' && app.state !== 'starting' && app.state !== 'asleep';
    if (arrived && this.now - app.since >= this.tuning.settling) return 0;
    return Math.max(0, app.expectedBytes - app.memoryBytes);
  }

  /** Bytes that its sleep frees, with those that are promised to it. */
  frees(app: Application): number {
    return app.memoryBytes + this.promised(app);
  }

  /** Counts one that falls asleep. */
  leaves(app: Application): void {
    this.stock.sleeping += 1;
    this.stock.coming += this.frees(app);
    this.stock.leaving += app.memoryBytes;
  }

  /** Instances of a service that are awake and get requests; one that is about to be may still fail. */
  awakeOf(service: Service): number {
    const draining = this.service(service.name)?.draining?.aid;
    let awake = 0;
    for (const aid of service.instances) {
      const app = this.view.applications.get(aid);
      if (app && aid !== draining && isInMemory(app) && this.isAwake(app)) awake += 1;
    }
    return awake;
  }

  /** Whether its service would have too few awake instances without it, and without those who are to go already. */
  isNeeded(app: Application, going: readonly Application[] = []): boolean {
    const service = this.view.services.get(app.service);
    if (!service || service.min === 0 || this.service(service.name)?.draining?.aid === app.aid) return false;
    return this.awakeOf(service) - going.filter((one) => one.service === app.service).length <= service.min;
  }

  idle(app: Application): number {
    return app.requestsOpen > 0 || app.cpu > this.tuning.busyCores
      ? 0
      : this.now - Math.max(app.activeAt, app.since);
  }

  /** Asks to look again at a moment. */
  soon(at: number): void {
    const wait = at - this.now;
    if (wait < this.#next) this.#next = Math.max(SHORTEST_MS, wait);
  }

  get next(): number {
    return this.#next;
  }

  /** What will be known at the next look, without what has gone. */
  get memory(): Memory {
    if (this.known < this.before.notes.size)
      for (const aid of this.before.notes.keys()) if (!this.view.applications.has(aid)) this.#forget(aid);
    if (this.knownServices < this.before.services.size)
      for (const name of this.before.services.keys())
        if (!this.view.services.has(name)) this.rememberService(name, undefined);
    return {
      notes: this.#notes ?? this.before.notes,
      services: this.#services ?? this.before.services,
      usualBytes: this.usualBytes,
      admittedAt: this.admittedAt,
      pressureAt: this.pressureAt,
      cpuAt: this.cpuAt,
    };
  }
}
