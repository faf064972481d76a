/**
 * How many instances a service has. Its minimum is awake whatever happens; it gets more while it is overloaded, one by one or twice as many
 * when it is badly so; and loses one at a time after a longer calm: first no new requests, then sleep as a spare, or the end.
 *
 * Against flapping: an instance goes only when the others would be far from overload; a step up that helped nothing makes the next wait
 * twice as long; an instance that was missed soon after it went makes calm last twice as long.
 */
import type { Code, Figures } from './decision.ts';
import { overload } from './load.ts';
import type { Overload } from './load.ts';
import type { ServiceNote } from './memory.ts';
import type { Wish } from './room.ts';
import { isInMemory } from './round.ts';
import type { Round } from './round.ts';
import { shrink } from './shrink.ts';
import type { Application, Service } from './view.ts';

/** A service as one look sees it. */
export interface Crew {
  readonly service: Service;
  /** Those that get requests now. */
  readonly serving: readonly Application[];
  /** Those that sleep and could be woken: the last active first. */
  readonly asleep: readonly Application[];
  /** Instances in all, with those that are being made. */
  readonly total: number;
  /** Those that are being made or woken. */
  readonly coming: number;
  readonly cpu: number;
  /** Cores that those that serve may use. */
  readonly cpuLimit: number;
}

const FRESH = (round: Round): ServiceNote => ({
  usual: null,
  usualAt: -Infinity,
  overSince: null,
  calmSince: null,
  outAt: null,
  outRate: 0,
  outResponse: 0,
  outWait: round.tuning.outWait,
  inAt: null,
  calmFor: round.tuning.calmFor,
  fullRate: null,
  draining: null,
  making: null,
});

/** Whether there is nothing to decide: most services are one application that comes and goes as it is asked. */
const isPlain = (service: Service): boolean =>
  service.min === 0 && service.instances.length <= 1 && service.template === null;

export const scale = (round: Round, service: Service, wishes: Wish[]): void => {
  if (isPlain(service)) return;
  const before = round.service(service.name);
  if (before) round.knownServices += 1;
  let note = before ?? FRESH(round);
  const crew = muster(round, service, note);
  if (note.making) {
    const being = Math.max(0, crew.total - service.instances.length);
    round.stock.waking += being;
    round.stock.free -= being * service.expectedBytes;
  }
  const awake = crew.serving.length + crew.coming;
  let missing = service.min - awake;
  if (missing > 0) {
    const because = { awake, min: service.min };
    if (calledBack(round, note, 'min-instances', because)) {
      note = { ...note, draining: null };
      missing -= 1;
    }
    for (const wish of more(round, crew, missing, because)) wishes.push(wish);
  }
  const { over, note: judged } = overload(round, crew, note);
  let after = judged;
  // Whoever lacks instances of the minimum gets those first.
  if (missing <= 0) after = over ? grow(round, crew, judged, over, wishes) : shrink(round, crew, judged);
  if (after !== before) round.rememberService(service.name, after);
  if (service.load && crew.serving.length > 0) round.soon(round.now + 1000);
};

/** Gives the draining instance requests again, when there is one that is awake; tells whether it has. */
const calledBack = (round: Round, note: ServiceNote, code: Code, because: Figures): boolean => {
  const app = round.view.applications.get(note.draining?.aid ?? '');
  if (!app || !round.isAwake(app)) return false;
  round.tell('undrain', app, code, because);
  return true;
};

const muster = (round: Round, service: Service, note: ServiceNote): Crew => {
  const serving: Application[] = [];
  const asleep: Application[] = [];
  let coming = 0;
  let cpu = 0;
  let cpuLimit = 0;
  for (const aid of service.instances) {
    const app = round.view.applications.get(aid);
    if (!app || note.draining?.aid === aid) continue;
    if (app.state === 'asleep' && round.isFree(app)) asleep.push(app);
    else if (isInMemory(app) && round.isAwake(app)) {
      serving.push(app);
      cpu += app.cpu;
      cpuLimit += app.cpuLimit ?? round.view.machine.cores;
    } else if (round.isAwake(app)) coming += 1;
  }
  const there = service.instances.length;
  const being = note.making && note.making.until > round.now ? Math.max(0, note.making.total - there) : 0;
  asleep.sort((a, b) => b.activeAt - a.activeAt);
  return { service, serving, asleep, total: there + being, coming: coming + being, cpu, cpuLimit };
};

/** Wishes for so many instances: sleeping ones are woken first, then new ones are made as far as the maximum lets. */
const more = (
  round: Round,
  crew: Crew,
  count: number,
  because: Wish['because'],
  code: Wish['code'] = 'min-instances',
  granted: () => void = () => undefined,
): Wish[] => {
  const { service, asleep } = crew;
  const common = { service: service.name, since: round.now, code, because, pushes: true } as const;
  const woken = asleep.slice(0, count).map((app): Wish => {
    const { priority, expectedBytes: bytes } = app;
    return { ...common, kind: 'wake', app, priority, bytes, granted };
  });
  const make = service.template === null ? 0 : Math.min(count - woken.length, service.max - crew.total);
  const made = Array.from({ length: Math.max(0, make) }, (): Wish => {
    const { priority, expectedBytes: bytes } = service;
    return {
      ...common,
      kind: 'clone',
      app: null,
      priority,
      bytes,
      granted: () => being(round, crew, granted),
    };
  });
  return [...woken, ...made];
};

/** Remembers that one more is being made. */
const being = (round: Round, { service }: Crew, granted: () => void): void => {
  granted();
  const note = round.service(service.name) ?? FRESH(round);
  const total = Math.max(service.instances.length, note.making?.total ?? 0) + 1;
  const until = round.now + round.tuning.decisionLost;
  round.rememberService(service.name, { ...note, making: { total, until } });
};

/** One step up, when it is time for one. */
const grow = (round: Round, crew: Crew, note: ServiceNote, over: Overload, wishes: Wish[]): ServiceNote => {
  const { tuning, now } = round;
  const { service, serving } = crew;
  if (calledBack(round, note, over.code, over.because))
    return { ...note, draining: null, overSince: null, calmSince: null };
  const rested = note.outAt === null || now - note.outAt >= note.outWait;
  if (crew.coming > 0 || !rested || now - over.since < tuning.overFor) {
    round.soon(Math.max(over.since + tuning.overFor, (note.outAt ?? 0) + note.outWait));
    return note;
  }
  const count = over.isBad ? Math.max(1, serving.length) : 1;
  const granted = (): void => {
    const known = round.service(service.name) ?? note;
    if (known.outAt !== now) round.rememberService(service.name, stepped(round, crew, known));
  };
  for (const wish of more(round, crew, count, over.because, over.code, granted)) wishes.push(wish);
  return note;
};

/** What is remembered of a step up. */
const stepped = (round: Round, crew: Crew, note: ServiceNote): ServiceNote => {
  const { tuning, now } = round;
  const rate = crew.service.load?.rate ?? 0;
  const response = crew.service.load?.responseMs ?? 0;
  const recent = note.outAt !== null && now - note.outAt < 3 * note.outWait;
  const helped = rate >= note.outRate * 1.1 || response <= note.outResponse * 0.9;
  const missed = note.inAt !== null && now - note.inAt < 2 * note.calmFor;
  return {
    ...note,
    outAt: now,
    outRate: rate,
    outResponse: response,
    outWait: recent && !helped ? Math.min(tuning.outWaitLongest, note.outWait * 2) : tuning.outWait,
    inAt: null,
    calmFor: missed
      ? Math.min(tuning.calmLongest, note.calmFor * 2)
      : Math.max(tuning.calmFor, note.calmFor / (note.inAt === null ? 1 : 2)),
    calmSince: null,
  };
};
