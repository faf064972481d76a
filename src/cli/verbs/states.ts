/** The verbs that change the state of applications: each takes several, goes on after a failure, and fails if one did. */
import type { Command } from 'commander';
import type { AppView, Client, SleepResult, WakeResult } from '../../api/index.ts';
import { formatDuration, formatSize } from '../../common/index.ts';
import { reportFailure } from '../failure.ts';
import { parseNumber } from '../numbers.ts';
import { print, printJson } from '../output.ts';
import { withProgress } from '../progress.ts';
import { addVerb, connect, globalsOf } from '../verb.ts';

interface Change<T> {
  readonly label: string;
  readonly apply: (client: Client, app: string) => Promise<T>;
  readonly tell: (result: T) => string;
}

const changeAll = async <T>(apps: readonly string[], command: Command, change: Change<T>): Promise<void> => {
  const globals = globalsOf(command);
  const client = await connect(globals);
  for (const app of apps) {
    try {
      const result = await withProgress(`${change.label} ${app}`, change.apply(client, app));
      if (globals.json) printJson(result);
      else print(change.tell(result));
    } catch (error) {
      process.exitCode = reportFailure(error, globals.json);
    }
  }
};

const ms = (value: number): string => formatDuration(value / 1000);

const tellSleep = ({ name, bytes, frozenMs, ms: total }: SleepResult): string =>
  `${name} asleep, ${formatSize(bytes)} saved in ${ms(total)} (frozen for ${ms(frozenMs)})`;
const tellWake = ({ name, address, ms: total }: WakeResult): string =>
  `${name} running ${address}, woken in ${ms(total)}`;
const tellState = ({ name, state }: AppView): string => `${name} ${state}`;

const addSleep = (program: Command): void => {
  addVerb(program, {
    usage: 'sleep <app...>',
    does: 'save applications and free what they hold; the next packet wakes them',
    example: 'appshot sleep web',
  }).action((apps: string[], _: unknown, command: Command) =>
    changeAll(apps, command, {
      label: 'putting to sleep',
      apply: (client, app) => client.sleep(app),
      tell: tellSleep,
    }),
  );
};

const addWake = (program: Command): void => {
  addVerb(program, {
    usage: 'wake <app...>',
    does: 'bring sleeping applications back, without waiting for a packet',
    example: 'appshot wake web',
  }).action((apps: string[], _: unknown, command: Command) =>
    changeAll(apps, command, { label: 'waking', apply: (client, app) => client.wake(app), tell: tellWake }),
  );
};

const addStop = (program: Command): void => {
  addVerb(program, {
    usage: 'stop <app...>',
    does: 'end the processes of applications: SIGTERM, then SIGKILL',
    example: 'appshot stop --timeout 30 web',
  })
    .option('--timeout <seconds>', 'between SIGTERM and SIGKILL', parseNumber({ min: 0, max: 3600 }), 10)
    .action((apps: string[], { timeout }: { timeout: number }, command: Command) =>
      changeAll(apps, command, {
        label: 'stopping',
        apply: (client, app) => client.stop(app, { timeout }),
        tell: tellState,
      }),
    );
};

const addRemove = (program: Command): void => {
  addVerb(program, {
    usage: 'rm <app...>',
    does: 'remove applications with their files, logs and snapshots',
    example: 'appshot rm --force web',
  })
    .option('--force', 'also what runs or sleeps')
    .action((apps: string[], { force = false }: { force?: boolean }, command: Command) =>
      changeAll(apps, command, {
        label: 'removing',
        apply: async (client, app) => {
          await client.remove(app, { force });
          return { app, removed: true };
        },
        tell: ({ app }) => `${app} removed`,
      }),
    );
};

export const addStateVerbs = (program: Command): void => {
  addSleep(program);
  addWake(program);
  addStop(program);
  addRemove(program);
};
