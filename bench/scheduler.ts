/**
 * The processor time of deciding for a thousand applications: what `decide` takes of each second, when sensors look as often as they do in
 * the daemon and once more at every event. No daemon and no application is needed.
 */
import { decide, NOTHING } from '../src/scheduler/policy/index.ts';
import type { Application, Memory, Service, View, Wait } from '../src/scheduler/policy/index.ts';
import type { Part } from './bench.ts';
import { figure } from './figures.ts';
import type { Figure } from './figures.ts';

const MB = 1024 ** 2;
const APPLICATIONS = 1000;
const LOOKS = 5;

type Changing<T> = { -readonly [key in keyof T]: T[key] };

const application = (number: number): Changing<Application> => ({
  aid: `app-${number}`,
  name: `site-${number}`,
  service: `site-${number}`,
  state: 'asleep',
  since: 0,
  priority: 40 + (number % 3) * 10,
  freezeAfter: 3000,
  sleepAfter: 10_000,
  memoryBytes: 0,
  expectedBytes: 50 * MB,
  cpu: 0,
  cpuLimit: 1,
  requestsOpen: 0,
  activeAt: 0,
  askedAt: 0,
  wakeTook: 20,
  sleepTook: 200,
  blockedUntil: 0,
  made: false,
});

const serviceOf = ({ name, aid, priority, expectedBytes }: Application): Service => ({
  name,
  instances: [aid],
  min: 0,
  max: 4,
  // One in ten is watched for overload.
  template: Number(aid.slice(4)) % 10 === 0 ? 'template' : null,
  priority,
  expectedBytes,
  load: { rate: 3, queue: 0, responseMs: 12 },
});

/** A thousand applications, of which `awake` stay in memory at most, and `asked` are asked for each second. */
class Fleet {
  readonly #applications = new Map<string, Changing<Application>>();
  readonly #services = new Map<string, Service>();
  readonly #room: number;
  #memory: Memory = NOTHING;
  #waiting: Wait[] = [];
  now = 0;
  decisions = 0;
  looks = 0;

  constructor(awake: number) {
    this.#room = awake * 50 * MB;
    for (let number = 0; number < APPLICATIONS; number += 1) {
      const app = application(number);
      this.#applications.set(app.aid, app);
      this.#services.set(app.service, serviceOf(app));
    }
  }

  /** A request to one of them: in no order, and to some more often than to others. */
  ask(turn: number): void {
    const app = this.#applications.get(`app-${(turn * turn * 7919 + turn * 31) % APPLICATIONS}`);
    if (!app) return;
    app.activeAt = this.now;
    if (app.state === 'frozen') app.state = 'running';
    if (app.state === 'asleep' && !this.#waiting.some(({ aid }) => aid === app.aid))
      this.#waiting.push({ aid: app.aid, since: this.now });
  }

  look(): void {
    let used = 0;
    for (const { memoryBytes } of this.#applications.values()) used += memoryBytes;
    const machine = {
      memoryBytes: this.#room,
      availableBytes: this.#room - used,
      reserveBytes: this.#room / 20,
      cores: 2,
      pressure: { memorySome: 0, memoryFull: 0, cpuSome: 10 },
    };
    const view: View = {
      now: this.now,
      machine,
      applications: this.#applications,
      services: this.#services,
      waiting: this.#waiting,
    };
    const { decisions, memory } = decide(this.#memory, view);
    this.#memory = memory;
    this.looks += 1;
    this.decisions += decisions.length;
    for (const { kind, aid } of decisions) this.#carryOut(kind, this.#applications.get(aid ?? ''));
  }

  #carryOut(kind: string, app: Changing<Application> | undefined): void {
    if (!app) return;
    if (kind === 'freeze') app.state = 'frozen';
    if (kind === 'sleep') Object.assign(app, { state: 'asleep', since: this.now, memoryBytes: 0 });
    if (kind !== 'admit' && kind !== 'wake') return;
    Object.assign(app, { state: 'running', since: this.now, activeAt: this.now, memoryBytes: 50 * MB });
    this.#waiting = this.#waiting.filter(({ aid }) => aid !== app.aid);
  }

  /** A second, with so many requests; tells the milliseconds of processor time that the looks took, and the looks and decisions. */
  second(asked: number): number {
    let spent = 0;
    const steps = LOOKS + asked;
    for (let step = 0; step < steps; step += 1) {
      this.now += 1000 / steps;
      if (step >= LOOKS) this.ask(Math.floor(this.now / 37));
      const before = process.cpuUsage();
      this.look();
      const { user, system } = process.cpuUsage(before);
      spent += (user + system) / 1000;
    }
    return spent;
  }
}

const WARM_UP = 20;

const measured = (name: string, awake: number, asked: number, limit?: number): Figure => {
  const fleet = new Fleet(awake);
  for (let turn = 0; turn < WARM_UP; turn += 1) fleet.second(asked);
  const values = Array.from({ length: 60 }, () => fleet.second(asked));
  return figure({ name, unit: 'ms', values }, limit);
};

const LIMIT_MS = 10;
const WITH_TWENTY = 'deciding for 1,000 applications, 20 requests a second';

export const scheduler: Part = {
  name: 'scheduler',
  title: 'Processor time of deciding for 1,000 applications, in each second',
  daemon: null,
  measure: () =>
    Promise.resolve([
      measured('deciding for 1,000 applications, nothing happens', 100, 0, LIMIT_MS),
      measured(`${WITH_TWENTY}, memory for 100`, 100, 20, LIMIT_MS),
      measured(`${WITH_TWENTY}, all awake`, 1100, 20, LIMIT_MS),
      measured('deciding for 1,000 applications, 100 requests a second, memory for 100', 100, 100),
    ]),
};
