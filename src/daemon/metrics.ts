/** Prometheus metrics of a daemon. */
import { Counter, Gauge, Histogram, Registry } from 'prom-client';
import { STATES } from '../api/index.ts';
import type { Applications } from '../application/index.ts';
import type { Pool } from '../environments/index.ts';

/** Seconds. */
const BUCKETS = [0.005, 0.01, 0.015, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];

export class Metrics {
  readonly #registry = new Registry();
  readonly #durations: Histogram<'operation'>;
  readonly #failures: Counter<'operation'>;
  readonly #decisions: Counter<'kind'>;

  constructor(applications: Applications, pool: Pool) {
    const registers = [this.#registry];
    this.#durations = new Histogram({
      name: 'appshot_operation_seconds',
      help: 'Time that putting to sleep and waking took',
      labelNames: ['operation'],
      buckets: BUCKETS,
      registers,
    });
    this.#failures = new Counter({
      name: 'appshot_operation_failures_total',
      help: 'Operations that failed, and sleeps that turned back',
      labelNames: ['operation'],
      registers,
    });
    this.#decisions = new Counter({
      name: 'appshot_decisions_total',
      help: 'Decisions of the scheduler',
      labelNames: ['kind'],
      registers,
    });
    void new Gauge({
      name: 'appshot_applications',
      help: 'Applications by state',
      labelNames: ['state'],
      registers,
      async collect() {
        const records = await applications.list();
        for (const state of STATES) this.set({ state }, records.filter((one) => one.state === state).length);
      },
    });
    void new Gauge({
      name: 'appshot_pool_ready',
      help: 'Environments that wait for an application',
      registers,
      collect() {
        this.set(pool.ready);
      },
    });
    void new Gauge({
      name: 'appshot_daemon_resident_bytes',
      help: 'Memory of the daemon',
      registers,
      collect() {
        this.set(process.memoryUsage.rss());
      },
    });
  }

  /** Counts an operation that has ended, or a decision, from its event. */
  count(type: string, data: Record<string, unknown> | undefined): void {
    const ms = data?.['ms'];
    if (type === 'decision') this.#decisions.inc({ kind: String(data?.['kind']) });
    // What was found as it is after a restart took no time.
    if (typeof ms === 'number')
      this.#durations.observe({ operation: type === 'asleep' ? 'sleep' : 'wake' }, ms / 1000);
    if (type.endsWith('-failed')) this.#failures.inc({ operation: type.slice(0, -'-failed'.length) });
    else if (type === 'turned-back') this.#failures.inc({ operation: 'sleep' });
  }

  text(): Promise<string> {
    return this.#registry.metrics();
  }
}
