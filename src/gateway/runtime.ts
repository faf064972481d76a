/**
 * HAProxy's command sockets: one line of question, an answer, and the end of the connection. A worker's socket answers for the newest
 * worker; the master's answers for the master, and for any worker when the command begins with `@!PID`.
 */
import { connect } from 'node:net';
import { text } from 'node:stream/consumers';

const PATIENCE_MS = 5000;

/** Asks one command. Throws what `connect` throws, or an Error when there is no answer in five seconds. */
export const ask = async (path: string, command: string): Promise<string> => {
  const socket = connect(path);
  socket.setTimeout(PATIENCE_MS, () => socket.destroy(new Error(`${path} does not answer`)));
  socket.end(`${command}\n`);
  return (await text(socket)).trim();
};

/** What HAProxy says when it has done as it was told; for most commands that is nothing. */
const DONE = /^(?:|no need to change .*|.*changed from .*)$/s;

/** Commands in their order. Throws an Error with HAProxy's answer at the first that it refuses. */
export const command = async (path: string, commands: readonly string[]): Promise<void> => {
  for (const one of commands) {
    const answer = await ask(path, one);
    if (!DONE.test(answer)) throw new Error(`HAProxy answered "${answer}" to "${one}"`);
  }
};

export interface Proc {
  readonly master: number;
  readonly reloads: number;
  readonly workers: readonly { readonly pid: number; /** 0: the newest. */ readonly reloads: number }[];
}

const ROW = /^(\d+)\s+(master|worker)\s+(\d+)\s/gm;

/** What `show proc` on the master's socket prints. Throws an Error when there is no master in it. */
export const parseProc = (printed: string): Proc => {
  const rows = [...printed.matchAll(ROW)].map(([, pid, type, reloads]) => ({
    pid: Number(pid),
    type,
    reloads: Number(reloads),
  }));
  const master = rows.find(({ type }) => type === 'master');
  if (master === undefined) throw new Error(`HAProxy's master told ${JSON.stringify(printed)}`);
  return {
    master: master.pid,
    reloads: master.reloads,
    workers: rows.filter(({ type }) => type === 'worker').map(({ pid, reloads }) => ({ pid, reloads })),
  };
};
