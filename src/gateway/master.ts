/**
 * HAProxy's master process, which starts workers, replaces them at a reload, and ends them.
 *
 * It is in a session of its own, writes to a file, and so outlives us: sites go on while the daemon is away. `gateway.json` names it by
 * PID, start time and boot, so that no other process is ever taken for it, and the next daemon takes it over. A master that loses its worker ends, and a worker that loses its master lets go
 * of the ports, so that to watch the master is enough.
 */
import { readFileSync } from 'node:fs';
import { open, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { AppShotError, endsWithin, readJson, writeAtomically } from '../common/index.ts';
import { run, start } from '../exec/index.ts';
import { MASTER_SOCKET } from './config.ts';
import { ask, parseProc } from './runtime.ts';
import type { Proc } from './runtime.ts';

/** `appshot setup` installs it there. */
export const HAPROXY = '/usr/sbin/haproxy';
export const CONFIG = 'haproxy.cfg';
const LOG = 'haproxy.log';
const RECORD = 'gateway.json';
/** How long a start or a reload may take: a configuration of thousands of sites is read in well under a second. */
const PATIENCE_MS = 15_000;
const INTERVAL_MS = 10;
/** How often a master that is no child of ours is looked at. */
const WATCH_MS = 250;
const TERM_MS = 2000;

/** In clock ticks since the boot; undefined when there is no such process, or only what is left of one. */
const startTimeOf = (pid: number): number | undefined => {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    const [state, ...rest] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return state === 'Z' ? undefined : Number(rest[18]);
  } catch {
    return undefined;
  }
};

/** Start times count from it: a PID and a start time may come again after the next. */
const bootId = (): string => readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').trim();

const complaintIn = (log: string): string => {
  const alert = /^\[ALERT\]\s+\(\d+\) : (.*)$/m.exec(log)?.[1];
  return alert ?? log.trim().split('\n').at(-1) ?? '';
};

/** HAProxy's first complaint in the log from `offset` on. */
const complaint = async (directory: string, offset: number): Promise<string> =>
  complaintIn((await readFile(join(directory, LOG), 'latin1').catch(() => '')).slice(offset));

/** Asks again, aloud: that a port is in use is not said by a quiet one. */
const complaintAloud = async (program: string, directory: string): Promise<string> => {
  const options = { cwd: directory, acceptExit: [1], timeoutMs: TERM_MS };
  const said = await run(program, ['-f', CONFIG], options).catch(() => undefined);
  return complaintIn(said?.stderr ?? '');
};

const failure = (reason: string, cause?: unknown): AppShotError =>
  new AppShotError('GATEWAY_FAILED', { reason: reason.trim() || 'HAProxy gave no reason' }, { cause });

const notStarted = (program: string, error: unknown): AppShotError => {
  const missing = error instanceof AppShotError && error.details['code'] === 'ENOENT';
  if (missing) return failure(`there is no ${program}; \`appshot setup\` installs it`, error);
  return failure(error instanceof Error ? error.message : String(error), error);
};

export class Master {
  readonly pid: number;
  /** Resolves when the process has ended. */
  readonly ended: Promise<unknown>;
  readonly #directory: string;
  readonly #startTime: number;

  private constructor(directory: string, pid: number, startTime: number, ended?: Promise<unknown>) {
    this.pid = pid;
    this.#directory = directory;
    this.#startTime = startTime;
    this.ended = ended ?? this.#watch();
  }

  /** Resolves when a worker serves. Throws `GATEWAY_FAILED` with HAProxy's reason. */
  static async start(directory: string, program: string): Promise<Master> {
    await using log = await open(join(directory, LOG), 'w', 0o600);
    // Quiet once it runs: it would tell each change of a server, and the log has no end.
    const args = ['-W', '-q', '-S', `unix@${MASTER_SOCKET},mode,600`, '-f', CONFIG];
    const options = { cwd: directory, detached: true, stdio: ['ignore', log.fd, log.fd] } as const;
    const started = await start(program, args, options).catch((error: unknown) => {
      throw notStarted(program, error);
    });
    started.unref();
    const master = new Master(directory, started.pid, startTimeOf(started.pid) ?? 0, started.exited);
    await master.#record();
    try {
      await master.#until(({ workers }) => workers.length > 0);
    } catch (error) {
      await master.stop(0);
      throw failure((await complaint(directory, 0)) || (await complaintAloud(program, directory)), error);
    }
    return master;
  }

  /** The one that an earlier daemon left running in this directory, if any. */
  static async find(directory: string): Promise<Master | undefined> {
    const record = await readJson(join(directory, RECORD)).catch(() => undefined);
    const { pid, startTime, boot } = (record ?? {}) as Readonly<Record<string, unknown>>;
    if (typeof pid !== 'number' || typeof startTime !== 'number' || boot !== bootId())
      return Master.#findUnrecorded(directory);
    return startTimeOf(pid) === startTime ? new Master(directory, pid, startTime) : undefined;
  }

  /** One whose daemon was killed before it had written the record. Who answers at the socket is it: nobody else may write there. */
  static async #findUnrecorded(directory: string): Promise<Master | undefined> {
    const proc = await ask(join(directory, MASTER_SOCKET), 'show proc')
      .then(parseProc)
      .catch(() => undefined);
    const startTime = proc && startTimeOf(proc.master);
    if (proc === undefined || startTime === undefined) return undefined;
    const master = new Master(directory, proc.master, startTime);
    await master.#record();
    return master;
  }

  async #record(): Promise<void> {
    const record = { pid: this.pid, startTime: this.#startTime, boot: bootId() };
    await writeAtomically(join(this.#directory, RECORD), JSON.stringify(record));
  }

  get alive(): boolean {
    return startTimeOf(this.pid) === this.#startTime;
  }

  /** What `show proc` tells. Throws while the master executes itself anew, and when it has ended. */
  async proc(): Promise<Proc> {
    const proc = parseProc(await this.ask('show proc'));
    if (proc.master !== this.pid) throw new Error(`another master, ${proc.master}, answers`);
    return proc;
  }

  ask(command: string): Promise<string> {
    return ask(join(this.#directory, MASTER_SOCKET), command);
  }

  /** Resolves when a new worker has the ports. Throws `GATEWAY_FAILED`; then the old one goes on. */
  async reload(): Promise<void> {
    const { size } = await this.#logState();
    try {
      const { reloads } = await this.proc();
      await this.ask('reload');
      const after = await this.#until((proc) => proc.reloads > reloads);
      if (!after.workers.some((worker) => worker.reloads === 0)) throw new Error('the old worker goes on');
    } catch (error) {
      throw failure(await complaint(this.#directory, size), error);
    }
  }

  /** Ends it: open requests have `graceMs` milliseconds. */
  async stop(graceMs: number): Promise<void> {
    const signals = [
      ['SIGUSR1', graceMs],
      ['SIGTERM', TERM_MS],
    ] as const;
    for (const [signal, ms] of signals)
      if (this.#signal(signal) && (await endsWithin(this.ended, ms))) return;
    if (this.#signal('SIGKILL')) await this.ended;
  }

  #signal(name: NodeJS.Signals): boolean {
    return this.alive && process.kill(this.pid, name);
  }

  async #logState(): Promise<{ size: number }> {
    await using log = await open(join(this.#directory, LOG), 'a', 0o600);
    return await log.stat();
  }

  /** Nothing tells when a master is ready, so it is asked until it says so. */
  async #until(ready: (proc: Proc) => boolean): Promise<Proc> {
    for (const deadline = performance.now() + PATIENCE_MS; this.alive && performance.now() < deadline;) {
      const proc = await this.proc().catch(() => undefined);
      if (proc !== undefined && ready(proc)) return proc;
      await pause(INTERVAL_MS);
    }
    throw new Error(this.alive ? 'it takes too long' : 'it ended');
  }

  #watch(): Promise<void> {
    return new Promise((resolve) => {
      const timer = setInterval(() => {
        if (this.alive) return;
        clearInterval(timer);
        resolve();
      }, WATCH_MS);
      timer.unref();
    });
  }
}
