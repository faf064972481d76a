/** The verbs that change the state of applications: each takes several, goes on after a failure, and fails if one did. */
import type { Command } from 'commander';
import type { AppView, SleepResult, WakeRequest, WakeResult } from '../../api/index.ts';
import { formatSize, sanitiseLine } from '../../common/index.ts';
import { changeAll } from '../change-all.ts';
import { memoryOption } from '../memory-option.ts';
import { formatMs, parseNumber } from '../numbers.ts';
import { addVerb } from '../verb.ts';

const tellSleep = ({ name, bytes, frozenMs, ms: total }: SleepResult): string =>
  `${name} asleep, ${formatSize(bytes)} saved in ${formatMs(total)} (frozen for ${formatMs(frozenMs)})`;
const tellWake = ({ name, address, ms: total, memory }: WakeResult): string => {
  const how = memory === null ? '' : ` (${memory.mode}: ${memory.reason})`;
  return sanitiseLine(`${name} running ${address}, woken in ${formatMs(total)}${how}`);
};
const tellState = ({ name, state }: AppView): string => `${name} ${state}`;

const addFreeze = (program: Command): void => {
  addVerb(program, {
    usage: 'freeze <app...>',
    does: 'stop the processes of applications where they are, in memory; the next packet lets them go on',
    example: 'appshot freeze web',
  }).action((apps: string[], _: unknown, command: Command) =>
    changeAll(apps, command, {
      label: 'freezing',
      apply: (client, app) => client.freeze(app),
      tell: tellState,
    }),
  );
};

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
    example: 'appshot wake web\nappshot wake --memory copy web',
  })
    .addOption(memoryOption())
    .option('--force', 'also where a file or the machine has changed, if that can be safe')
    .action((apps: string[], { memory, force }: WakeRequest, command: Command) => {
      const request = {
        ...(memory === undefined ? {} : { memory }),
        ...(force === undefined ? {} : { force }),
      };
      return changeAll(apps, command, {
        label: 'waking',
        apply: (client, app) => client.wake(app, request),
        tell: tellWake,
      });
    });
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
  addFreeze(program);
  addSleep(program);
  addWake(program);
  addStop(program);
  addRemove(program);
};
