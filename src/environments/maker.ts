/**
 * What makes environments: one small process that waits for requests (native/maker.c), because to start a process takes the daemon some
 * milliseconds in which nothing else happens. It ends with the daemon, and what it has made goes on.
 */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Writable } from 'node:stream';
import { AppShotError } from '../common/index.ts';
import { start } from '../exec/index.ts';
import { encodeFrame } from './control.ts';

/** Directories that every environment mounts its own on; no environment sees those of another. */
const SKELETON = ['root', 'dev', 'sys'];

/** The engine that waits has all its functions bound: each task that it forks would else look them up in twenty libraries. */
const ENVIRONMENT = {
  PATH: '/usr/sbin:/usr/bin:/sbin:/bin',
  XDG_RUNTIME_DIR: '/proc/1/fd/3/restore',
  LD_BIND_NOW: '1',
};

export interface MakerPlan {
  /** Path of the init program, and the engine's command, as this machine sees them. */
  readonly init: string;
  readonly engine: readonly string[];
  /** A directory for what environments mount theirs on. */
  readonly skeleton: string;
  /** Descriptor of a tmpfs in which the engine keeps what it found out about the kernel. */
  readonly probes: number;
}

const failed = (reason: string): AppShotError => new AppShotError('ENVIRONMENT_FAILED', { reason });

/** The process, and the requests that it has not answered yet, in their order. */
interface Running {
  readonly exited: Promise<unknown>;
  readonly requests: Writable;
  readonly waiting: PromiseWithResolvers<number[]>[];
}

const settle = (waiting: PromiseWithResolvers<number[]> | undefined, line: string): void => {
  const [verdict, ...rest] = line.split(' ');
  if (verdict === 'ok') waiting?.resolve(rest.map(Number));
  else waiting?.reject(failed(rest.join(' ')));
};

export class Maker {
  readonly #plan: MakerPlan;
  #running: Promise<Running> | undefined;
  #closed = false;

  constructor(plan: MakerPlan) {
    this.#plan = plan;
  }

  async #start(): Promise<Running> {
    const { init, engine, skeleton, probes } = this.#plan;
    for (const name of SKELETON) mkdirSync(join(skeleton, name), { recursive: true });
    const { stdin, stdout, exited } = await start(init, ['maker', skeleton, '--', ...engine], {
      stdio: ['pipe', 'pipe', 'inherit', probes],
      env: ENVIRONMENT,
      // A terminal's signals are for the daemon, which ends in its own time.
      detached: true,
    });
    if (!stdin || !stdout) throw new Error('the maker has no pipes');
    const running: Running = { exited, requests: stdin, waiting: [] };
    createInterface({ input: stdout })
      .on('line', (line) => settle(running.waiting.shift(), line))
      // Its last answers have been read by then.
      .on('close', () => this.#lose(running, 'what makes it has ended'));
    stdin.on('error', () => undefined);
    void exited.then(() => stdin.destroy());
    return running;
  }

  /** The next request starts another. */
  #lose({ waiting }: Running, reason: string): void {
    this.#running = undefined;
    for (const one of waiting.splice(0)) one.reject(failed(reason));
  }

  /**
   * Makes environments side by side, 16 at most, each in a directory and in control groups, of which the paths of `cgroup.procs` are given.
   * Resolves to the system PIDs of their first processes. Fails with `ENVIRONMENT_FAILED`; what is left then is the caller's.
   */
  async make(places: readonly (readonly [directory: string, ...groups: string[]])[]): Promise<number[]> {
    if (this.#closed) throw failed('the daemon ends');
    this.#running ??= this.#start().catch((error: unknown) => {
      this.#running = undefined;
      throw error;
    });
    const { requests, waiting } = await this.#running;
    const answer = Promise.withResolvers<number[]>();
    waiting.push(answer);
    requests.write(encodeFrame(places.flatMap((place) => [...place, ','])));
    const pids = await answer.promise;
    if (pids.length === places.length) return pids;
    throw failed('its first process has ended');
  }

  /** No more are made; resolves when the process has ended. */
  async close(): Promise<void> {
    this.#closed = true;
    const running = await this.#running?.catch(() => undefined);
    running?.requests.end();
    await running?.exited;
  }
}
