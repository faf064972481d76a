/** The verbs that need no daemon: `setup`, `doctor`. */
import { resolve } from 'node:path';
import { Option } from 'commander';
import type { Command } from 'commander';
import type { Finding, SetupStep } from '../../setup/index.ts';
import { formatTable, print, printJson } from '../output.ts';
import { withProgress } from '../progress.ts';
import { addVerb, globalsOf } from '../verb.ts';

const engineDirOption = (): Option =>
  new Option('--engine-dir <dir>', 'where the engine is (default: below /var/lib/appshot)');

export const formatStep = ({ name, state, detail }: SetupStep): string =>
  `${name}: ${state === 'begun' ? '...' : state}${detail === undefined ? '' : ` (${detail})`}`;

interface SetupVerbOptions {
  readonly engineDir?: string;
  readonly testing?: boolean;
}

const addSetup = (program: Command): void => {
  addVerb(program, {
    usage: 'setup',
    does: 'make this machine ready: the engine and what it needs; does nothing where nothing is missing',
    example: 'sudo appshot setup',
  })
    .addOption(engineDirOption())
    .addOption(new Option('--testing', 'also what the tests, the demo and the benchmarks use').hideHelp())
    .action(async ({ engineDir, testing = false }: SetupVerbOptions, command: Command) => {
      const { json } = globalsOf(command);
      const { setup, defaultEngineDir } = await import('../../setup/index.ts');
      const directory = engineDir === undefined ? defaultEngineDir() : resolve(engineDir);
      const report = (step: SetupStep) => (json ? printJson(step) : print(formatStep(step)));
      await setup({ engineDir: directory, testing }, report);
    });
};

const formatTrouble = ({ name, meaning, advice }: Finding): string =>
  `${name}: ${meaning}${advice === '' ? '' : `\n  -> ${advice}`}`;

/** Everything in one table; below it what is not well, with its meaning and what to do. */
export const formatFindings = (findings: readonly Finding[]): string => {
  const rows = findings.map(({ name, status, found }) => [status, name, found]);
  const troubles = findings.filter(({ status }) => status !== 'ok').map(formatTrouble);
  return [formatTable(['STATUS', 'NAME', 'FOUND'], rows), ...troubles].join('\n\n');
};

const addDoctor = (program: Command): void => {
  addVerb(program, {
    usage: 'doctor',
    does: 'say what this machine has and lacks, and what to do; fails if something needed is missing',
    example: 'sudo appshot doctor',
  })
    .addOption(engineDirOption())
    .option('--data-dir <dir>', 'the data directory of the daemon (default: /var/lib/appshot)')
    .action(async (options: { engineDir?: string; dataDir?: string }, command: Command) => {
      const { json } = globalsOf(command);
      const { doctor } = await import('../../setup/index.ts');
      const given = Object.entries(options).filter(([key]) => key === 'engineDir' || key === 'dataDir');
      const directories = Object.fromEntries(given.map(([key, dir]) => [key, resolve(dir)]));
      const findings = await withProgress('examining this machine', doctor(directories));
      if (json) printJson(findings);
      else print(formatFindings(findings));
      process.exitCode = findings.some(({ status }) => status === 'missing') ? 1 : 0;
    });
};

export const addMachineVerbs = (program: Command): void => {
  addSetup(program);
  addDoctor(program);
};
