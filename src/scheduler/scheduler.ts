/**
 * The scheduler: samples what runs and puts to sleep what has been idle for as long as its specification says.
 *
 * It samples only applications that have an idle time, as often as the shortest of them asks for; without any it does nothing.
 */
import { existsSync, readFileSync } from 'node:fs';
import type { Applications } from '../application/index.ts';
import type { Logger } from '../common/index.ts';
import { AppShotError } from '../common/index.ts';
import type { CgroupUsage } from '../environments/index.ts';
import type { ApplicationRecord } from '../registry/index.ts';
import { idleSeconds, observe, sampleInterval } from './idle.ts';
import type { Observation, Sample } from './idle.ts';
import { packetsFromOutside } from './packets.ts';

/** Milliseconds before an application that could not be put to sleep is tried again. */
const RETRY_MS = 5000;

export interface SchedulerOptions {
  readonly applications: Applications;
  readonly usage: (environment: string) => CgroupUsage;
  readonly log: Logger;
}

export class Scheduler {
  readonly #applications: Applications;
  readonly #usage: SchedulerOptions['usage'];
  readonly #log: Logger;
  readonly #observations = new Map<string, Observation>();
  readonly #notBefore = new Map<string, number>();
  #timer: NodeJS.Timeout | undefined;
  #closed = false;

  constructor({ applications, usage, log }: SchedulerOptions) {
    this.#applications = applications;
    this.#usage = usage;
    this.#log = log;
  }

  /** Takes a sample of a running application now. */
  sample(record: ApplicationRecord): Observation | undefined {
    const environment = this.#applications.environment(record.aid);
    if (!environment || record.state !== 'running') {
      this.#observations.delete(record.aid);
      return undefined;
    }
    const observation = observe(
      this.#observations.get(record.aid),
      this.#read(environment.id, environment.pid),
    );
    this.#observations.set(record.aid, observation);
    return observation;
  }

  #read(environment: string, pid: number): Sample {
    const text = (name: string): string => readFileSync(`/proc/${pid}/net/${name}`, 'utf8');
    const snmp6 = existsSync(`/proc/${pid}/net/snmp6`) ? text('snmp6') : '';
    return {
      at: performance.now(),
      packets: packetsFromOutside({ snmp: text('snmp'), snmp6, dev: text('dev') }),
      cpuMicroseconds: this.#usage(environment).cpuMicroseconds,
    };
  }

  /** Looks again now, and from now on: call it when an application has begun to run. */
  async look(): Promise<void> {
    clearTimeout(this.#timer);
    if (this.#closed) return;
    const running = (await this.#applications.list()).filter(
      ({ state, spec }) => state === 'running' && spec.idle !== undefined,
    );
    for (const record of running) this.#consider(record);
    this.#forget(new Set(running.map(({ aid }) => aid)));
    if (running.length === 0 || this.#isClosed()) return;
    const shortest = Math.min(...running.map(({ spec }) => spec.idle ?? Infinity));
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => void this.look(), sampleInterval(shortest));
  }

  #isClosed(): boolean {
    return this.#closed;
  }

  #consider(record: ApplicationRecord): void {
    try {
      const observation = this.sample(record);
      if (!observation || idleSeconds(observation) < (record.spec.idle ?? Infinity)) return;
      if ((this.#notBefore.get(record.aid) ?? 0) > performance.now()) return;
      this.#notBefore.set(record.aid, performance.now() + RETRY_MS);
      void this.#putToSleep(record);
    } catch (err) {
      this.#log.debug({ err, aid: record.aid }, 'a sample failed: the application is on its way out');
    }
  }

  async #putToSleep({ aid, name }: ApplicationRecord): Promise<void> {
    try {
      await this.#applications.sleep(aid);
      this.#notBefore.delete(aid);
    } catch (error) {
      const expected = error instanceof AppShotError && error.spec.kind === 'mistake';
      this.#log[expected ? 'info' : 'error'](
        { err: error, aid, name },
        'an idle application was not put to sleep',
      );
    }
  }

  #forget(running: ReadonlySet<string>): void {
    for (const aid of this.#notBefore.keys()) if (!running.has(aid)) this.#notBefore.delete(aid);
    for (const aid of this.#observations.keys()) if (!running.has(aid)) this.#observations.delete(aid);
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
  }
}
