/** `appshot top`: once for scripts, and on a terminal a table on the alternate screen until it is ended. */
import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import type { Command } from 'commander';
import type { Client, TopRow } from '../../api/index.ts';
import { formatDuration, formatSize } from '../../common/index.ts';
import { formatTable, print, printJson } from '../output.ts';
import { addVerb, connect, globalsOf } from '../verb.ts';

const REFRESH_MS = 2000;
const ENTER = '\u001b[?1049h\u001b[?25l';
const LEAVE = '\u001b[?25h\u001b[?1049l';
const HOME = '\u001b[H';
const CLEAR_LINE = '\u001b[K';
const CLEAR_BELOW = '\u001b[J';

const cell = (value: number | null, format: (value: number) => string = String): string =>
  value === null ? '-' : format(value);

export const formatTop = (rows: readonly TopRow[]): string =>
  formatTable(
    ['NAME', 'STATE', 'PRIO', 'CPU', 'MEMORY', 'TASKS', 'PACKETS', 'REQUESTS', 'IDLE', 'LAST DECISION'],
    rows.map(({ name, state, priority, cpu, memory, tasks, packets, requests, idleSeconds, decision }) => [
      name,
      state,
      String(priority),
      cell(cpu, (cores) => `${(cores * 100).toFixed(1)}%`),
      cell(memory, formatSize),
      cell(tasks),
      cell(packets),
      cell(requests),
      cell(idleSeconds, formatDuration),
      decision === null ? '-' : `${decision.what}: ${decision.reason}`,
    ]),
  );

/** As much as fits, each line cut to the width of the terminal. */
const toScreen = (text: string): string => {
  // A terminal that does not know its size says 0.
  const columns = process.stdout.columns || 80;
  const lines = text.split('\n').slice(0, (process.stdout.rows || 24) - 1);
  return `${HOME}${lines.map((line) => `${line.slice(0, columns)}${CLEAR_LINE}\n`).join('')}${CLEAR_BELOW}`;
};

const refresh = async (client: Client, signal: AbortSignal): Promise<void> => {
  while (!signal.aborted) {
    process.stdout.write(toScreen(formatTop(await client.top({ signal }))));
    await delay(REFRESH_MS, undefined, { signal });
  }
};

const watch = async (client: Client): Promise<void> => {
  const end = new AbortController();
  const { signal } = end;
  const ended = Promise.race([once(process, 'SIGINT', { signal }), once(process, 'SIGTERM', { signal })]);
  process.stdout.write(ENTER);
  try {
    await Promise.race([ended, refresh(client, signal)]);
  } finally {
    end.abort();
    process.stdout.write(LEAVE);
  }
};

export const addTopVerb = (program: Command): void => {
  addVerb(program, {
    usage: 'top',
    does: 'show what each application uses, every two seconds on a terminal',
    example: 'appshot top --once',
  })
    .option('--once', 'print one table and end')
    .action(async ({ once: isOnce = false }: { once?: boolean }, command: Command) => {
      const globals = globalsOf(command);
      const client = await connect(globals);
      if (globals.json) return printJson(await client.top());
      if (isOnce || !process.stdout.isTTY) return print(formatTop(await client.top()));
      return watch(client);
    });
};
