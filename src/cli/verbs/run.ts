import type { Command } from 'commander';
import type { AppView } from '../../api/index.ts';
import { parseDuration, parseSize, sanitiseLine } from '../../common/index.ts';
import type { RunOptions } from '../chain.ts';
import { collect, parseInstances, parseNumber, parseWith } from '../numbers.ts';
import { memoryOption } from '../memory-option.ts';
import { print, printJson } from '../output.ts';
import { withProgress } from '../progress.ts';
import { addVerb, connect, globalsOf } from '../verb.ts';

const formatStarted = ({ name, state, address }: AppView): string =>
  sanitiseLine(`${name} ${state} ${address}`);

/** How it is reached, and what the scheduler may do with it. */
const addNetworkOptions = (command: Command): Command =>
  command
    .option('--network <name>', 'the network that it belongs to (default: "default")')
    .option('--service <name>', 'the group of instances that it is one of (default: the name)')
    .option(
      '-p, --publish <[address:]port:target[/udp]>',
      'a port of this machine for it (repeatable)',
      collect,
    )
    .option(
      '--site <host:port>',
      'a host name, or HOST/PATH, that leads to a port of it (repeatable)',
      collect,
    )
    .option(
      '--freeze <duration>',
      'freeze it in memory after so long without requests; less than --idle',
      parseWith(parseDuration),
    )
    .option(
      '--priority <n>',
      'who gives way when memory or CPU is short: the lower one (default: 50)',
      parseNumber({ min: 0, max: 100, whole: true }),
    )
    .option(
      '--instances <min..max[:template]>',
      'how many instances of the service, and what to clone them from',
      parseInstances,
    )
    .option(
      '--concurrency <n>',
      'requests of its sites that each of the --instances has at once; more wait (default: any number)',
      parseNumber({ min: 1, max: 10_000, whole: true }),
    );

const addOptions = (command: Command): Command =>
  command
    .option('-n, --name <name>', "name of the application (default: the command's)")
    .option('-f, --file <file>', 'description of a chain, such as appshot.yaml; options go over it')
    .option('--aid <aid>', 'application ID (default: a new one)')
    .option('--address <ip>', 'address in its network (default: a free one)')
    .option('--hostname <name>', 'host name inside (default: the name)')
    .option('-e, --env <K=V>', 'a variable of its environment (repeatable)', collect)
    .option('--env-file <file>', 'a file of such variables (repeatable)', collect)
    .option('-u, --user <user>', 'name, name:group, uid or uid:gid (default: root)')
    .option('-w, --workdir <dir>', 'working directory (default: the current one)')
    .option('-v, --volume <source:target[:ro]>', 'a directory of the host (repeatable)', collect)
    .option(
      '--idle <duration>',
      'sleep by itself after so long without packets and CPU',
      parseWith(parseDuration),
    )
    .addOption(memoryOption())
    .option('--memory-limit <size>', 'most memory', parseWith(parseSize))
    .option('--pids-limit <n>', 'most tasks', parseNumber({ min: 1, max: 4194304, whole: true }))
    .option('--cpus <n>', 'most CPU time, in cores', parseNumber({ min: 0.01, max: 1024 }))
    .option('--cap-add <name>', 'a capability beyond the usual ones (repeatable)', collect)
    .option('--cap-drop <name>', 'a capability less than the usual ones (repeatable)', collect)
    .option('--rules <file>', 'rules for clones, see docs/rules.md (repeatable)', collect)
    .option('--link <path=target>', 'a symbolic link with variables such as <AID> (repeatable)', collect);

export const addRunVerb = (program: Command): void => {
  const run = addVerb(program, {
    usage: 'run [command...]',
    does: 'start programs as one application; returns when they run',
    example: 'appshot run --name web --idle 30s -- node server.js\nappshot run --file appshot.yaml',
  });
  addNetworkOptions(addOptions(run))
    .passThroughOptions()
    .action(async (words: string[], options: RunOptions, command: Command) => {
      const globals = globalsOf(command);
      const { buildChain } = await import('../chain.ts');
      const spec = await buildChain(options, words);
      const client = await connect(globals);
      const started = await withProgress(`starting ${spec.name}`, client.run(spec));
      if (globals.json) printJson(started);
      else print(formatStarted(started));
    });
};
