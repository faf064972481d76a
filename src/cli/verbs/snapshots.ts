/** The verbs that decide which snapshots stay: `pin`, `unpin`, `discard`, `gc`. */
import type { Command } from 'commander';
import type { GcReport } from '../../api/index.ts';
import { formatSize } from '../../common/index.ts';
import { changeAll } from '../change-all.ts';
import { print, printJson } from '../output.ts';
import { withProgress } from '../progress.ts';
import { addVerb, connect, globalsOf } from '../verb.ts';

const addPin = (program: Command, pinned: boolean): void => {
  const verb = pinned ? 'pin' : 'unpin';
  addVerb(program, {
    usage: `${verb} <snapshot...>`,
    does: pinned
      ? 'keep snapshots, whatever the rules of the daemon say'
      : 'leave snapshots to the rules of the daemon again',
    example: `appshot ${verb} 01JD4YJ6`,
  }).action((snapshots: string[], _: unknown, command: Command) =>
    changeAll(snapshots, command, {
      label: `${verb}ning`,
      apply: (client, snapshot) => client.pin(snapshot, pinned),
      tell: ({ snapshot }) => `${snapshot} ${verb}ned`,
    }),
  );
};

const addDiscard = (program: Command): void => {
  addVerb(program, {
    usage: 'discard <snapshot...>',
    does: 'remove snapshots that no application would wake from',
    example: 'appshot discard 01JD4YJ6',
  }).action((snapshots: string[], _: unknown, command: Command) =>
    changeAll(snapshots, command, {
      label: 'removing',
      apply: async (client, snapshot) => {
        await client.removeSnapshot(snapshot);
        return { snapshot, removed: true };
      },
      tell: ({ snapshot }) => `${snapshot} removed`,
    }),
  );
};

const count = (number: number, noun: string): string => `${number} ${noun}${number === 1 ? '' : 's'}`;

export const tellGc = ({ snapshots, layers, objects, bytes }: GcReport, dryRun: boolean): string => {
  const what = [count(snapshots, 'snapshot'), count(layers, 'layer'), count(objects, 'object')].join(', ');
  return `${dryRun ? 'would remove' : 'removed'} ${what}: ${formatSize(bytes)}`;
};

const addGc = (program: Command): void => {
  addVerb(program, {
    usage: 'gc',
    does: 'remove the snapshots that the rules no longer keep, and what no snapshot needs',
    example: 'appshot gc --dry-run',
  })
    .option('--dry-run', 'only tell what would go')
    .action(async ({ dryRun = false }: { dryRun?: boolean }, command: Command) => {
      const globals = globalsOf(command);
      const client = await connect(globals);
      const report = await withProgress('collecting', client.gc({ dryRun }));
      if (globals.json) printJson(report);
      else print(tellGc(report, dryRun));
    });
};

export const addSnapshotVerbs = (program: Command): void => {
  addPin(program, true);
  addPin(program, false);
  addDiscard(program);
  addGc(program);
};
