/** A view with few words: what is left out is a machine with room, and applications that run and have nothing to do. */
import { MB } from './application.ts';
import { decide, NOTHING } from '../../../src/scheduler/policy/index.ts';
import type {
  Application,
  Decision,
  Machine,
  Memory,
  Service,
  View,
  Wait,
} from '../../../src/scheduler/policy/index.ts';

export const appOf = (name: string, facts: Partial<Application> = {}): Application => ({
  aid: name,
  name,
  service: name,
  state: 'running',
  since: 0,
  priority: 50,
  freezeAfter: null,
  sleepAfter: 30_000,
  memoryBytes: facts.state === 'asleep' ? 0 : 100 * MB,
  expectedBytes: 100 * MB,
  cpu: 0,
  cpuLimit: 1,
  requestsOpen: 0,
  activeAt: 0,
  askedAt: -60_000,
  wakeTook: 20,
  sleepTook: 200,
  blockedUntil: 0,
  made: false,
  ...facts,
});

export const serviceOf = (name: string, facts: Partial<Service> = {}): Service => ({
  name,
  instances: [name],
  min: 0,
  max: 4,
  template: 'template',
  priority: 50,
  expectedBytes: 100 * MB,
  load: null,
  ...facts,
});

interface Facts {
  readonly applications?: readonly Application[];
  readonly services?: readonly Service[];
  readonly waiting?: readonly (string | Wait)[];
  readonly machine?: Partial<Machine>;
}

export const viewOf = (
  now: number,
  { applications = [], services = [], waiting = [], machine }: Facts,
): View => ({
  now,
  machine: {
    memoryBytes: 1000 * MB,
    availableBytes: 900 * MB,
    reserveBytes: 50 * MB,
    cores: 2,
    pressure: null,
    ...machine,
  },
  applications: new Map(applications.map((app) => [app.aid, app])),
  services: new Map(services.map((service) => [service.name, service])),
  waiting: waiting.map((wait) => (typeof wait === 'string' ? { aid: wait, since: now } : wait)),
});

/** Looks at one view after another; each look remembers what the one before left. */
export class Looks {
  memory: Memory = NOTHING;
  next = 0;

  at(now: number, facts: Facts): readonly Decision[] {
    const outcome = decide(this.memory, viewOf(now, facts));
    this.memory = outcome.memory;
    this.next = outcome.next;
    return outcome.decisions;
  }

  /** The same, as `kind aid code`. */
  words(now: number, facts: Facts): string[] {
    return this.at(now, facts).map(({ kind, aid, code, service }) => `${kind} ${aid ?? service} ${code}`);
  }
}
