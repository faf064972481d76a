/** The verbs that look: `ps`, `inspect`, `check`. */
import type { Command } from 'commander';
import type { AppView, CheckReport } from '../../api/index.ts';
import { formatDuration, sanitiseLine } from '../../common/index.ts';
import { formatTable, print, printJson } from '../output.ts';
import { addVerb, connect, globalsOf } from '../verb.ts';

export const formatApps = (apps: readonly AppView[], now: number): string =>
  formatTable(
    ['NAME', 'STATE', 'ADDRESS', 'HOSTNAME', 'SINCE', 'AID'],
    apps.map(({ name, state, address, hostname, since, aid }) => {
      const age = Math.max(0, Math.floor((now - Date.parse(since)) / 1000));
      return [name, state, address, hostname, formatDuration(age), aid];
    }),
  );

const addPs = (program: Command): void => {
  addVerb(program, {
    usage: 'ps',
    does: 'list applications, without those that are stopped',
    example: "appshot ps --all --json | jq '.[].address'",
  })
    .option('-a, --all', 'stopped ones too')
    .action(async ({ all = false }: { all?: boolean }, command: Command) => {
      const globals = globalsOf(command);
      const apps = await (await connect(globals)).apps({ all });
      if (globals.json) printJson(apps);
      else print(formatApps(apps, Date.now()));
    });
};

const addInspect = (program: Command): void => {
  addVerb(program, {
    usage: 'inspect <app>',
    does: 'show everything that is tracked for an application',
    example: 'appshot inspect web --json',
  }).action(async (app: string, _: unknown, command: Command) => {
    const globals = globalsOf(command);
    const detail = await (await connect(globals)).inspect(app);
    if (globals.json) return printJson(detail);
    const { formatDetail } = await import('./detail.ts');
    return print(formatDetail(detail));
  });
};

export const formatReport = ({ name, ok, blockers }: CheckReport): string => {
  if (ok) return `${sanitiseLine(name)} can be saved`;
  const rows = blockers.map(({ pid, process, what, why, advice }) => [
    pid === undefined ? '' : String(pid),
    process ?? '',
    what,
    why,
    advice,
  ]);
  return formatTable(['PID', 'PROCESS', 'HOLDS', 'WHY IT CANNOT BE SAVED', 'WHAT TO DO'], rows);
};

const addCheck = (program: Command): void => {
  addVerb(program, {
    usage: 'check <app>',
    does: 'name what would keep an application from being saved; nothing is frozen; fails if there is something',
    example: 'appshot check web && appshot sleep web',
  }).action(async (app: string, _: unknown, command: Command) => {
    const globals = globalsOf(command);
    const report = await (await connect(globals)).check(app);
    if (globals.json) printJson(report);
    else print(formatReport(report));
    process.exitCode = report.ok ? 0 : 1;
  });
};

export const addViewVerbs = (program: Command): void => {
  addPs(program);
  addInspect(program);
  addCheck(program);
};
