import { resolve } from 'node:path';
import { Option } from 'commander';
import type { Command } from 'commander';
import type { LogLevel } from '../../common/index.ts';
import { parseNumber } from '../numbers.ts';
import { addVerb, globalsOf } from '../verb.ts';

const LOG_LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'] satisfies LogLevel[];

interface DaemonVerbOptions {
  readonly dataDir: string;
  readonly network: string;
  readonly pool?: number;
  readonly engineDir?: string;
  readonly group?: string;
  readonly logLevel: LogLevel;
}

export const addDaemonVerb = (program: Command): void => {
  addVerb(program, {
    usage: 'daemon',
    does: 'run the daemon in the foreground; ended by SIGTERM, it leaves applications running',
    example: 'sudo appshot daemon --network 10.20.0.0/16 --group appshot',
  })
    .option('--data-dir <dir>', 'where applications, snapshots and the registry are', '/var/lib/appshot')
    .option('--network <cidr>', 'IPv4 network for the addresses of applications', '10.10.0.0/16')
    .option('--pool <n>', 'environments kept ready', parseNumber({ min: 0, max: 1024, whole: true }))
    .option('--engine-dir <dir>', 'where `appshot setup` put the engine')
    .option('--group <name>', 'group that may use the socket, besides root')
    .addOption(new Option('--log-level <level>', 'least level to log').choices(LOG_LEVELS).default('info'))
    .action(async ({ engineDir, ...options }: DaemonVerbOptions, command: Command) => {
      const { runDir } = globalsOf(command);
      // The one verb that is the daemon, and does not talk to it.
      // oxlint-disable-next-line no-restricted-imports
      const { runDaemon } = await import('../../daemon/index.ts');
      process.exitCode = await runDaemon({
        ...options,
        dataDir: resolve(options.dataDir),
        runDir: resolve(runDir),
        ...(engineDir === undefined ? {} : { engineDir: resolve(engineDir) }),
      });
    });
};
