/**
 * Faults on purpose, so that tests can see what happens after them: `APPSHOT_FAULT=OPERATION.STEP.WHEN=ACTION`.
 *
 * WHEN is `before`, `after`, or a stage of the engine such as `post-dump`; ACTION is `kill` (the daemon dies as by SIGKILL),
 * `fail` (the step fails) or `engine` (the engine's processes are killed). It happens once, so that what comes after can be
 * seen too. Without the variable nothing is ever injected.
 */
import type { Engine } from '../criu/index.ts';
import { startTimeOf } from '../environments/index.ts';
import type { Environment } from '../environments/index.ts';
import { childrenOf, isEngine } from './processes.ts';

type Action = 'kill' | 'fail' | 'engine';

/** How long a killed engine may take to let go of what it holds, and how often to look: nothing tells. In ms. */
const DEATH = { patience: 5000, interval: 1 } as const;

/** Waits until a killed process has ended; it has then let go of what it traced. Nothing else goes on meanwhile. */
const awaitEnd = (pid: number): void => {
  const clock = new Int32Array(new SharedArrayBuffer(4));
  for (const end = performance.now() + DEATH.patience; startTimeOf(pid) !== undefined;) {
    if (performance.now() > end) throw new Error(`the engine ${pid} does not end`);
    Atomics.wait(clock, 0, 0, DEATH.interval);
  }
};

export class Faults {
  #point: string | undefined;
  readonly #action: Action | undefined;

  readonly #engine: Engine;

  constructor(variable: string | undefined, engine: Engine) {
    this.#engine = engine;
    const [point, action] = variable?.split('=') ?? [];
    this.#point = point;
    this.#action = action === 'kill' || action === 'fail' || action === 'engine' ? action : undefined;
  }

  /** Does what was asked for at this point, if anything was. */
  at(operation: string, step: string, when: string, environment: Environment | undefined): void {
    const point = `${operation}.${step}.${when}`;
    if (!this.#action || this.#point !== point) return;
    this.#point = undefined;
    if (this.#action === 'kill') process.kill(process.pid, 'SIGKILL');
    if (this.#action === 'fail') throw new Error(`a fault was asked for at ${point}`);
    if (!environment) return;
    const engines = this.#engines(environment.pid);
    for (const pid of engines) process.kill(pid, 'SIGKILL');
    engines.forEach(awaitEnd);
  }

  /** The engine that waits in an environment, and those that this daemon started from outside, two helpers further down. */
  #engines(pid: number): number[] {
    const outside = childrenOf(process.pid).flatMap(childrenOf).flatMap(childrenOf);
    return [...childrenOf(pid), ...outside].filter((one) => isEngine(this.#engine, one));
  }
}
