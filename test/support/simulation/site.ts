/** What people ask for by one name: its instances, the gateway's queue before them, and what the gateway measures. */
import type { Load, Service } from '../../../src/scheduler/policy/index.ts';
import { MB } from './application.ts';
import type { Program, Request, SimulatedApplication } from './application.ts';

export interface SimulatedService {
  readonly name: string;
  readonly min: number;
  readonly max: number;
  /** What further instances are; none when left out. */
  readonly template?: Program;
  /** Requests that an instance has at once; the others wait in the gateway. */
  readonly concurrency: number;
}

/** The gateway's measurements are of so many milliseconds. */
const LOAD_OVER_MS = 2000;

export class Site {
  readonly template: Program | undefined;
  readonly concurrency: number;
  readonly #service: Omit<Service, 'instances' | 'load'>;
  instances: SimulatedApplication[] = [];
  readonly queue: Request[] = [];
  #arrivals: number[] = [];
  #answers: { readonly at: number; readonly ms: number }[] = [];

  constructor(name: string, program: Program, spec: SimulatedService | undefined) {
    this.template = spec?.template;
    this.concurrency = spec?.concurrency ?? Infinity;
    this.#service = {
      name,
      min: spec?.min ?? 0,
      max: spec?.max ?? 1,
      template: spec?.template ? 'template' : null,
      priority: program.priority ?? 50,
      expectedBytes: program.megabytes * MB,
    };
  }

  /** As the policy sees it. */
  view(now: number): Service {
    return { ...this.#service, instances: this.instances.map(({ aid }) => aid), load: this.#load(now) };
  }

  arrived(at: number): void {
    this.queue.push({ at });
    if (this.concurrency !== Infinity) this.#arrivals.push(at);
  }

  answered(at: number, ms: number): void {
    if (this.concurrency !== Infinity) this.#answers.push({ at, ms });
  }

  #load(now: number): Load | null {
    if (this.concurrency === Infinity) return null;
    const from = now - LOAD_OVER_MS;
    this.#arrivals = this.#arrivals.filter((at) => at >= from);
    this.#answers = this.#answers.filter(({ at }) => at >= from);
    const total = this.#answers.reduce((sum, { ms }) => sum + ms, 0);
    return {
      rate: (this.#arrivals.length * 1000) / LOAD_OVER_MS,
      queue: this.queue.length,
      responseMs: this.#answers.length === 0 ? null : total / this.#answers.length,
    };
  }
}
