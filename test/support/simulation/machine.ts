/**
 * A simulated machine under the real policy: applications that take memory and processor time, requests that wait until one answers, and
 * sensors that look as often as the daemon would. Everything is a function of its setup and its traffic.
 */
import { decide, NOTHING, TUNING } from '../../../src/scheduler/policy/index.ts';
import type { Decision, Memory, Tuning, View } from '../../../src/scheduler/policy/index.ts';
import { MB, SimulatedApplication, sleepCost, WAKE } from './application.ts';
import type { Program, Request } from './application.ts';
import { faultsOf } from './faults.ts';
import { Processors } from './processors.ts';
import { Site } from './site.ts';
import type { SimulatedService } from './site.ts';
import { Timeline } from './timeline.ts';
import type { TraceEvent } from './trace.ts';

export interface Setup {
  readonly cores: number;
  readonly megabytes: number;
  readonly reserve: number;
  readonly programs: readonly Program[];
  readonly services?: readonly SimulatedService[];
  readonly tuning?: Tuning;
  /** Whether sensors take probes and scans for requests, as they would without addresses to ignore. */
  readonly countsAll?: boolean;
  /** Whether the kernel tells of pressure. */
  readonly tellsPressure?: boolean;
}

/** Between two looks of the sensors without any event. */
const LOOK_MS = 500;
const CPU_EVERY_MS = 200;
const PROBE_MS = 0.3;
const THAW_MS = 1;

/** Sleeps that nobody waits for: a request meanwhile turns them back. */
const TURNS_BACK: ReadonlySet<string> = new Set(['idle', 'memory-ready']);

export class Machine {
  now = 0;
  readonly decisions: { readonly at: number; readonly decision: Decision }[] = [];
  /** Milliseconds from each request to its answer; of those that met a sleeper, until it was awake; and of wakes. */
  readonly answers: number[] = [];
  readonly waits: number[] = [];
  /** What should never be. */
  readonly faults: string[] = [];
  asked = 0;
  mostBytes = 0;
  /** Milliseconds of real processor time in `decide`, and how often it was called. */
  decidingMs = 0;
  looks = 0;
  readonly applications = new Map<string, SimulatedApplication>();
  readonly #setup: Setup;
  readonly #timeline = new Timeline();
  readonly #processors: Processors;
  readonly #sites = new Map<string, Site>();
  readonly #waiting = new Map<string, number>();
  #memory: Memory = NOTHING;
  #sampledAt = 0;
  #lookAt = Infinity;
  #born = 0;
  #pressure = 0;

  constructor(setup: Setup) {
    this.#setup = setup;
    this.#processors = new Processors(setup.cores, (group) => this.#runs(group));
    for (const program of setup.programs) this.#addSite(program);
    for (const program of setup.programs) this.#add(program);
  }

  #runs(group: string): boolean {
    const app = this.applications.get(group);
    return !app || app.state === 'running';
  }

  #addSite(program: Program): void {
    const name = program.service ?? program.name;
    if (this.#sites.has(name)) return;
    const spec = this.#setup.services?.find((one) => one.name === name);
    this.#sites.set(name, new Site(name, program, spec));
  }

  #add(program: Program): SimulatedApplication {
    const app = new SimulatedApplication(`app-${(this.#born += 1)}`, program);
    this.applications.set(app.aid, app);
    this.#sites.get(app.service)?.instances.push(app);
    if (app.computes) this.#processors.add({ left: Infinity, group: app.aid, done: () => undefined });
    return app;
  }

  /** Replays a trace: event `site` is for the setup's service of that number. Ends so many milliseconds after its last event. */
  replay(events: readonly TraceEvent[], after = 0): this {
    const names = [...this.#sites.keys()];
    for (const { ms, site, kind } of events) {
      const name = names[site % names.length] ?? '';
      this.#timeline.add(this.now + ms, () => {
        if (kind === 'request' || this.#setup.countsAll) this.request(name);
        else if (kind === 'probe') this.#probe(name);
      });
    }
    return this.runUntil(this.now + (events.at(-1)?.ms ?? 0) + after);
  }

  at(ms: number, run: () => void): void {
    this.#timeline.add(ms, run);
  }

  runUntil(end: number): this {
    this.#lookSoon(this.now);
    while (this.now < end) {
      const { ms, done } = this.#processors.run(Math.min(end, this.#timeline.next) - this.now);
      this.now += ms;
      for (const job of done) job.done();
      while (done.length === 0 && this.#timeline.next <= this.now) this.#timeline.take()?.();
    }
    return this;
  }

  // Requests

  request(name: string): void {
    const site = this.#sites.get(name);
    if (!site) throw new Error(`there is no service ${name}`);
    this.asked += 1;
    site.arrived(this.now);
    this.#dispatch(site);
  }

  /** It reaches who is awake, and nobody is woken for it. */
  #probe(name: string): void {
    const app = this.#sites.get(name)?.instances.find(({ state }) => state === 'running');
    if (app) this.#processors.add({ left: PROBE_MS, group: app.aid, done: () => undefined });
  }

  #dispatch(site: Site): void {
    const wakes = site.instances.filter(({ state }) => state === 'running' || state === 'frozen');
    const serving = wakes.filter((app) => !app.isDraining);
    while (site.queue.length > 0) {
      const app = (serving.length > 0 ? serving : wakes)
        .filter(({ requestsOpen }) => requestsOpen < site.concurrency)
        .toSorted((a, b) => a.requestsOpen - b.requestsOpen)[0];
      if (!app) break;
      const request = site.queue.shift();
      if (request) this.#answer(site, app, request);
    }
    if (site.queue.length > 0 && wakes.length === 0) this.#callFor(site);
  }

  #answer(site: Site, app: SimulatedApplication, request: Request): void {
    app.activeAt = this.now;
    app.askedAt = this.now;
    app.requestsOpen += 1;
    if (app.state === 'frozen') this.at(this.now + THAW_MS, () => this.#thaw(app));
    const done = (): void => {
      app.requestsOpen -= 1;
      app.activeAt = this.now;
      this.answers.push(this.now - request.at);
      site.answered(this.now, this.now - request.at);
      this.#dispatch(site);
    };
    this.#processors.add({ left: app.requestMs, group: app.aid, done });
  }

  /** A packet meets nobody: one that falls asleep for idleness turns back, another is to be woken. */
  #callFor(site: Site): void {
    const sleeping = site.instances.find(
      ({ state, sleepCode }) => state === 'sleeping' && TURNS_BACK.has(sleepCode),
    );
    if (site.instances.some(({ state }) => state === 'waking' || state === 'starting')) return;
    if (sleeping) {
      sleeping.activeAt = this.now;
      sleeping.awakeAt += this.now - sleeping.stoppedAt;
      this.#become(sleeping, 'running');
      this.#dispatch(site);
      return;
    }
    const app = site.instances
      .filter(({ state }) => state === 'asleep')
      .toSorted((a, b) => b.activeAt - a.activeAt)[0];
    if (!app || site.instances.some(({ aid }) => this.#waiting.has(aid))) return;
    this.#waiting.set(app.aid, this.now);
    this.#lookSoon(this.now);
  }

  // Looks

  #lookSoon(at: number): void {
    if (at >= this.#lookAt) return;
    this.#lookAt = at;
    this.#timeline.add(at, () => {
      if (this.#lookAt === at) this.#look();
    });
  }

  #look(): void {
    const view = this.#view();
    const began = process.cpuUsage();
    const { decisions, memory, next } = decide(this.#memory, view, this.#setup.tuning ?? TUNING);
    const { user, system } = process.cpuUsage(began);
    this.decidingMs += (user + system) / 1000;
    this.looks += 1;
    this.#memory = memory;
    this.#lookAt = Infinity;
    for (const decision of decisions) this.#carryOut(decision);
    this.#lookSoon(this.now + Math.min(next, LOOK_MS));
  }

  #sample(): number {
    let used = 0;
    const elapsed = this.now - this.#sampledAt;
    let demand = 0;
    for (const app of this.applications.values()) {
      app.memoryBytes = app.holds(this.now);
      used += app.memoryBytes;
      if (app.state === 'running' && (app.requestsOpen > 0 || app.computes)) demand += 1;
      if (elapsed < CPU_EVERY_MS) continue;
      app.cpu = (this.#processors.used.get(app.aid) ?? 0) / elapsed;
      if (app.cpu > 0.02 && app.state === 'running') app.activeAt = this.now;
    }
    if (elapsed >= CPU_EVERY_MS) {
      this.#processors.used.clear();
      this.#sampledAt = this.now;
      const stalled = demand > this.#setup.cores ? 100 : 0;
      this.#pressure += (stalled - this.#pressure) * (1 - Math.exp(-elapsed / 10_000));
    }
    this.mostBytes = Math.max(this.mostBytes, used);
    return used;
  }

  #view(): View {
    const used = this.#sample();
    const { megabytes, reserve, cores, tellsPressure } = this.#setup;
    const machine = {
      memoryBytes: megabytes * MB,
      availableBytes: megabytes * MB - used,
      reserveBytes: reserve * MB,
      cores,
      pressure: tellsPressure ? { memorySome: 0, memoryFull: 0, cpuSome: this.#pressure } : null,
    };
    const services = new Map(Array.from(this.#sites, ([name, site]) => [name, site.view(this.now)]));
    const waiting = Array.from(this.#waiting, ([aid, since]) => ({ aid, since }));
    return { now: this.now, machine, applications: this.applications, services, waiting };
  }

  // Decisions

  #carryOut(decision: Decision): void {
    const { kind, aid, code, service } = decision;
    this.decisions.push({ at: this.now, decision });
    const app = this.applications.get(aid ?? '');
    const site = this.#sites.get(service);
    if (!site || (!app && kind !== 'clone')) throw new Error(`there is no ${aid ?? service} to ${kind}`);
    this.faults.push(...faultsOf(decision, app, site));
    if (!app) this.#clone(site, service);
    else if (kind === 'sleep') this.#sleep(app, code);
    else if (kind === 'wake' || kind === 'admit') this.#wake(app);
    else if (kind === 'freeze') this.#become(app, 'frozen', app.since);
    else if (kind === 'thaw') this.#thaw(app);
    else if (kind === 'drain' || kind === 'undrain') this.#drain(app, kind === 'drain');
    else if (kind === 'retire') this.#retire(app);
  }

  #become(app: SimulatedApplication, state: SimulatedApplication['state'], since = this.now): void {
    app.state = state;
    app.since = since;
    this.#lookSoon(this.now);
  }

  #thaw(app: SimulatedApplication): void {
    if (app.state === 'frozen') this.#become(app, 'running', app.since);
  }

  #drain(app: SimulatedApplication, drains: boolean): void {
    app.isDraining = drains;
    const site = this.#sites.get(app.service);
    if (site) this.#dispatch(site);
  }

  #wake(app: SimulatedApplication): void {
    const since = this.#waiting.get(app.aid);
    const began = this.now;
    this.#waiting.delete(app.aid);
    app.transitions += 1;
    app.awakeAt = this.now;
    this.#become(app, 'waking');
    const done = (): void => {
      app.wakeTook = this.now - began;
      if (since !== undefined) this.waits.push(this.now - since);
      app.activeAt = this.now;
      app.isDraining = false;
      this.#become(app, 'running');
      const site = this.#sites.get(app.service);
      if (site) this.#dispatch(site);
    };
    const compute = () => this.#processors.add({ left: WAKE.cpu, group: `wake ${app.aid}`, done });
    this.at(this.now + WAKE.fixed, compute);
  }

  #sleep(app: SimulatedApplication, code: string): void {
    const began = this.now;
    const cost = sleepCost(app.megabytes);
    app.sleepCode = code;
    app.stoppedAt = began;
    app.transitions += 1;
    this.#become(app, 'sleeping', app.since);
    const done = (): void => {
      if (app.state !== 'sleeping' || app.sleepCode !== code) return;
      app.sleepTook = this.now - began;
      this.#become(app, 'asleep');
      const site = this.#sites.get(app.service);
      if (site) this.#dispatch(site);
    };
    this.at(began + cost.fixed, () => {
      this.#processors.add({ left: cost.cpu, group: `sleep ${app.aid}`, done });
    });
  }

  #clone(site: Site, service: string): void {
    if (!site.template) throw new Error(`${service} has no template`);
    const app = this.#add({ ...site.template, service, name: `${service}-${this.#born}`, made: true });
    this.#wake(app);
  }

  #retire(app: SimulatedApplication): void {
    const site = this.#sites.get(app.service);
    if (site) site.instances = site.instances.filter((one) => one !== app);
    app.state = 'other';
    this.applications.delete(app.aid);
  }

  /** How many decisions there were of a kind, and of a code when one is given. */
  count(kind: Decision['kind'], code?: Decision['code']): number {
    return this.decisions.filter(
      ({ decision }) => decision.kind === kind && (code === undefined || decision.code === code),
    ).length;
  }

  awake(service: string): SimulatedApplication[] {
    return (this.#sites.get(service)?.instances ?? []).filter(
      ({ state }) => state === 'running' || state === 'frozen',
    );
  }

  instances(service: string): readonly SimulatedApplication[] {
    return this.#sites.get(service)?.instances ?? [];
  }

  byName(name: string): SimulatedApplication {
    const found = [...this.applications.values()].find((app) => app.name === name);
    if (!found) throw new Error(`there is no ${name}`);
    return found;
  }
}
