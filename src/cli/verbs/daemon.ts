import { resolve } from 'node:path';
import { Option } from 'commander';
import type { Command } from 'commander';
import { parseDuration, parseSize } from '../../common/index.ts';
import type { LogLevel } from '../../common/index.ts';
import { parseNumber, parseWith } from '../numbers.ts';
import { addVerb, globalsOf } from '../verb.ts';
import { addWebOptions, toWeb } from '../web-options.ts';
import type { WebOptions } from '../web-options.ts';

const LOG_LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'] satisfies LogLevel[];

interface DaemonVerbOptions extends WebOptions {
  readonly dataDir: string;
  readonly network: string;
  readonly pool?: number;
  readonly engineDir?: string;
  /** Bytes. */
  readonly memory?: number;
  readonly hostsFile?: string;
  readonly group?: string;
  readonly historyKeep: number;
  /** Seconds. */
  readonly historyTtl?: number;
  /** Bytes. */
  readonly quota?: number;
  readonly logLevel: LogLevel;
}

const addOptions = (command: Command): Command =>
  command
    .option('--data-dir <dir>', 'where applications, snapshots and the registry are', '/var/lib/appshot')
    .option('--network <cidr>', 'IPv4 network for the addresses of applications', '10.10.0.0/16')
    .option('--pool <n>', 'environments kept ready', parseNumber({ min: 0, max: 1024, whole: true }))
    .option(
      '--memory <size>',
      'most memory that applications may have together; others sleep so that one can wake',
      parseWith(parseSize),
    )
    .option('--engine-dir <dir>', 'where `appshot setup` put the engine')
    .option('--hosts-file <file>', 'keep the names of applications in this hosts file, such as /etc/hosts')
    .option('--group <name>', 'group that may use the socket, besides root')
    .option(
      '--history-keep <n>',
      'snapshots kept of each application, besides pinned ones',
      parseNumber({ min: 1, max: 1_000_000, whole: true }),
      10,
    )
    .option(
      '--history-ttl <duration>',
      'remove snapshots that are older, but for the latest',
      parseWith(parseDuration),
    )
    .option('--quota <size>', 'most that all snapshots may take together', parseWith(parseSize))
    .addOption(new Option('--log-level <level>', 'least level to log').choices(LOG_LEVELS).default('info'));

const toRunOptions = (given: DaemonVerbOptions, runDir: string) => {
  const { engineDir, hostsFile, historyKeep, historyTtl, quota, ...options } = given;
  const web = toWeb(given);
  return {
    ...options,
    ...(web && { web }),
    dataDir: resolve(options.dataDir),
    runDir: resolve(runDir),
    ...(engineDir === undefined ? {} : { engineDir: resolve(engineDir) }),
    ...(hostsFile === undefined ? {} : { hostsFile: resolve(hostsFile) }),
    retention: {
      historyKeep,
      historyTtlMs: historyTtl === undefined ? undefined : historyTtl * 1000,
      quotaBytes: quota,
    },
  };
};

export const addDaemonVerb = (program: Command): void => {
  const daemon = addVerb(program, {
    usage: 'daemon',
    does: 'run the daemon in the foreground; ended by SIGTERM, it leaves applications running',
    example: 'sudo appshot daemon --network 10.20.0.0/16 --group appshot --history-ttl 7d',
  });
  addWebOptions(addOptions(daemon)).action(async (options: DaemonVerbOptions, command: Command) => {
    const { runDir } = globalsOf(command);
    // The one verb that is the daemon, and does not talk to it.
    // oxlint-disable-next-line no-restricted-imports
    const { runDaemon } = await import('../../daemon/index.ts');
    process.exitCode = await runDaemon(toRunOptions(options, runDir));
  });
};
