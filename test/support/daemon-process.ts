import { closeSync, openSync, readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { start } from '../../src/exec/index.ts';
import type { Exit } from '../../src/exec/index.ts';

/** A daemon that has said it is ready. */
export interface DaemonProcess {
  readonly pid: number;
  /** The line it printed. */
  readonly ready: string;
  readonly exited: Promise<Exit>;
  /** SIGTERM; applications go on. Throws when it does not end cleanly. */
  stop(): Promise<void>;
  /** SIGKILL, at any instant; settles when it is gone. */
  kill(): Promise<void>;
}

export interface DaemonCommand {
  readonly tool: string;
  readonly args: readonly string[];
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Takes what it writes to standard error. */
  readonly log: string;
}

const READY_WITHIN_MS = 30_000;
const LOG_LINES = 20;

const endOf = (file: string): string => readFileSync(file, 'utf8').split('\n').slice(-LOG_LINES).join('\n');

/** Starts a daemon and waits for its line. Throws with the end of its log when it ends, or says nothing, instead. */
export const startDaemon = async (command: DaemonCommand): Promise<DaemonProcess> => {
  const log = openSync(command.log, 'a');
  const daemon = await start(command.tool, command.args, {
    stdio: ['ignore', 'pipe', log],
    env: command.environment,
  }).finally(() => closeSync(log));
  if (daemon.stdout === null) throw new Error('the daemon has no output');
  const lines = createInterface({ input: daemon.stdout });
  const firstLine = new Promise<string>((resolve) => lines.once('line', resolve));
  const silence = new Promise<never>((_resolve, reject) => {
    const fail = (what: string): void => reject(new Error(`the daemon ${what}:\n${endOf(command.log)}`));
    const timer = setTimeout(() => fail(`was not ready after ${READY_WITHIN_MS} ms`), READY_WITHIN_MS);
    // After the first line the daemon's end is no failure of its start, and its log may be gone by then.
    let ready = false;
    void firstLine.then(() => {
      ready = true;
      clearTimeout(timer);
    });
    void daemon.exited.then((exit) => {
      clearTimeout(timer);
      if (!ready) fail(`ended (code ${exit.code}, signal ${exit.signal}) before it was ready`);
    });
  });
  const ready = await Promise.race([firstLine, silence]);
  return {
    pid: daemon.pid,
    ready,
    exited: daemon.exited,
    stop: async () => {
      const exit = await daemon.stop(15_000);
      if (exit.code !== 0) throw new Error(`the daemon ended with code ${exit.code}, signal ${exit.signal}`);
    },
    kill: async () => {
      daemon.signal('SIGKILL');
      await daemon.exited;
    },
  };
};
