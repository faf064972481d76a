/**
 * The scheduler: looks at what there is, lets the policy decide, and carries it out.
 *
 *     sensors, roster, gateway -> census -> decide -> orders -> events, operations
 *
 * It looks when time alone may lead to another decision, when samples are due, when a request waits, and when an application has changed; looks
 * that come close to each other become one.
 */
import type { Activity, Applications, House, Templates } from '../application/index.ts';
import type { ApplicationRecord } from '../registry/index.ts';
import { Census } from './census.ts';
import type { Loads } from './census.ts';
import { sampleInterval } from './idle.ts';
import { MachineSensor } from './machine.ts';
import { USUAL_PRIORITY } from './member.ts';
import type { Member } from './member.ts';
import { Orders } from './orders.ts';
import { NOTHING, decide } from './policy/index.ts';
import type { Machine, Memory, Standing } from './policy/index.ts';
import { Sensors } from './sensors.ts';
import type { Gauges } from './sensors.ts';

/** Milliseconds between two looks at least; a first request is looked at at once. */
const APART_MS = 5;
/** How often samples are taken, in ms, while nobody in memory has an idle time. */
const UNHURRIED_MS = 5000;
/** The same while memory or processors are short: what grows must be seen in time. */
const HURRIED_MS = 500;
/** Memory is short when less than this part is left; processors when somebody waits for them so much of the time, in percent. */
const SHORT = { memory: 0.25, cpu: 20 } as const;
/** Of the time, for taking samples at most. */
const SAMPLING_SHARE = 0.02;
/** After a look that failed, in ms. */
const AGAIN_MS = 1000;
/** How often the gateway is asked what it measured, in ms. */
const LOADS_MS = 1000;

export interface SchedulerOptions {
  readonly house: Pick<House, 'roster' | 'emit' | 'log'>;
  readonly applications: Applications;
  readonly templates: Templates;
  /** Where requests are measured, if anywhere. */
  readonly loads?: (() => Promise<Loads>) | undefined;
  readonly gauges: Gauges;
  /** What all applications may have together, in bytes; all that the machine has when left out. */
  readonly memory?: number | undefined;
}

export class Scheduler {
  readonly #options: SchedulerOptions;
  readonly #census: Census;
  readonly #sensors: Sensors;
  readonly #machine: MachineSensor;
  readonly #orders: Orders;
  readonly #waiting = new Map<string, number>();
  #memory: Memory = NOTHING;
  #loadsAt = -Infinity;
  #sampledAt = -Infinity;
  #isShort = false;
  /** What looking at everybody took, in ms. */
  #samplingTook = 0;
  #lookedAt = -Infinity;
  #timer: NodeJS.Timeout | undefined;
  #timerAt = Infinity;
  #isOpen = false;

  constructor(options: SchedulerOptions) {
    const { house, applications, templates, gauges, memory } = options;
    this.#options = options;
    this.#census = new Census(house.roster);
    this.#sensors = new Sensors({ applications, gauges, house });
    this.#machine = new MachineSensor(memory);
    const { members } = this.#census;
    this.#orders = new Orders({ house, applications, templates, members, done: () => this.#lookSoon() });
  }

  /** Begins to decide: when everything is as an earlier daemon left it. */
  open(): void {
    this.#isOpen = true;
    this.#options.applications.admitBy((aid) => this.#asked(aid));
    this.#options.house.roster.onChange(() => this.#lookSoon());
    this.#lookSoon();
  }

  /** A packet asks for a sleeper. */
  #asked(aid: string): void {
    if (!this.#waiting.has(aid)) this.#waiting.set(aid, performance.now());
    if (performance.now() - this.#lookedAt >= APART_MS) this.#look();
    else this.#lookSoon();
  }

  #lookSoon(): void {
    this.#lookAt(Math.max(performance.now(), this.#lookedAt + APART_MS));
  }

  #lookAt(at: number): void {
    if (!this.#isOpen || at >= this.#timerAt) return;
    clearTimeout(this.#timer);
    this.#timerAt = at;
    this.#timer = setTimeout(() => this.#look(), Math.max(0, at - performance.now()));
  }

  #look(): void {
    clearTimeout(this.#timer);
    this.#timerAt = Infinity;
    if (!this.#isOpen) return;
    const now = performance.now();
    this.#lookedAt = now;
    try {
      this.#lookAt(this.#lookNow(now));
    } catch (err) {
      this.#options.house.log.error({ err }, 'the scheduler could not look: it tries again');
      this.#lookAt(now + AGAIN_MS);
    }
  }

  /** Returns when to look again. Throws when this machine does not tell what it has, as without a free descriptor. */
  #lookNow(now: number): number {
    this.#census.refresh(now, this.#orders.doing);
    const awake = [...this.#census.members.values()].filter(isInMemory);
    const sampleAt = this.#sample(now, awake);
    const loadsAt = this.#askGateway(now, awake);
    const next = this.#decide(now);
    return Math.min(now + next, sampleAt, loadsAt);
  }

  /** Takes samples when they are due, and of whoever has none or is about to go. Returns when the next are. */
  #sample(now: number, awake: readonly Member[]): number {
    const { roster } = this.#options.house;
    const limits = awake.map(({ freezeAfter, sleepAfter }) => freezeAfter ?? sleepAfter ?? Infinity);
    const shortest = Math.min(...limits);
    const unasked = this.#isShort ? HURRIED_MS : UNHURRIED_MS;
    const wanted = shortest === Infinity ? unasked : Math.min(unasked, sampleInterval(shortest / 1000));
    const every = Math.max(wanted, this.#samplingTook / SAMPLING_SHARE);
    if (now >= this.#sampledAt + every) {
      for (const member of awake) this.#sensors.sample(member);
      this.#samplingTook = performance.now() - now;
      this.#sampledAt = now;
    } else
      for (const member of awake)
        if (!member.observation || roster.isDrained(member.aid)) this.#sensors.sample(member);
    return awake.length === 0 ? Infinity : this.#sampledAt + every;
  }

  /** Returns when to ask again. */
  #askGateway(now: number, awake: readonly Member[]): number {
    const { loads, house } = this.#options;
    if (!loads || !awake.some(({ record }) => record.spec.sites?.length)) return Infinity;
    if (now >= this.#loadsAt + LOADS_MS) {
      this.#loadsAt = now;
      loads()
        .then((measured) => this.#census.hear(measured))
        .catch((err: unknown) => house.log.warn({ err }, 'the gateway does not tell what it measured'));
    }
    return this.#loadsAt + LOADS_MS;
  }

  /** Returns the milliseconds after which time alone may lead to another decision. */
  #decide(now: number): number {
    const { members } = this.#census;
    const { roster } = this.#options.house;
    for (const aid of this.#waiting.keys()) {
      const member = members.get(aid);
      // One that goes back to a snapshot sleeps again in a moment.
      const mayWait = member && (member.record.state === 'rewinding' || SLEEPING.has(member.state));
      if (!mayWait) this.#waiting.delete(aid);
    }
    const services = this.#census.services(now);
    // Of a service that is none any more nobody decides who gets requests.
    for (const { aid, service } of members.values())
      if (roster.isDrained(aid) && !services.has(service)) roster.drain(aid, false);
    const waiting = Array.from(this.#waiting, ([aid, since]) => ({ aid, since }));
    let used = 0;
    for (const { memoryBytes } of members.values()) used += memoryBytes;
    const machine = this.#machine.read(now, used);
    this.#isShort = isShort(machine);
    const view = { now, machine, applications: members, services, waiting };
    const { decisions, memory, next } = decide(this.#memory, view);
    this.#memory = memory;
    for (const decision of decisions) {
      if (decision.kind === 'admit' && decision.aid !== null) this.#waiting.delete(decision.aid);
      this.#orders.carryOut(decision, services.get(decision.service)?.template ?? null);
    }
    return next;
  }

  /** What an application does, looked at now, and what was decided about it last. */
  activity(record: ApplicationRecord): Activity {
    const member = this.#census.members.get(record.aid);
    const observation = member && this.#sensors.sample(member);
    return {
      cpu: observation?.cpu ?? null,
      packets: observation?.sample.packets ?? null,
      idleSeconds: observation ? (performance.now() - observation.activeAt) / 1000 : null,
      priority: record.spec.policy?.priority ?? USUAL_PRIORITY,
      requests: member?.requestsOpen ?? null,
      decision: member?.decision ?? null,
    };
  }

  /** Decides nothing any more. */
  close(): void {
    this.#isOpen = false;
    clearTimeout(this.#timer);
  }
}

const isShort = ({ memoryBytes, availableBytes, pressure }: Machine): boolean =>
  availableBytes < SHORT.memory * memoryBytes || (pressure?.cpuSome ?? 0) >= SHORT.cpu;

const SLEEPING: ReadonlySet<string> = new Set<Standing>(['asleep', 'sleeping']);

const isInMemory = ({ state }: Member): boolean => state === 'running' || state === 'frozen';
