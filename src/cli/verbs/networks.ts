/** The verbs of networks: `network create | ls | rm`. */
import type { Command } from 'commander';
import type { NetworkView } from '../../api/index.ts';
import { sanitiseLine } from '../../common/index.ts';
import { changeAll } from '../change-all.ts';
import { formatTable, print, printJson } from '../output.ts';
import { addVerb, connect, globalsOf } from '../verb.ts';

const formatNetworks = (networks: readonly NetworkView[]): string =>
  formatTable(
    ['NAME', 'ADDRESSES', 'GATEWAY', 'BRIDGE', 'OUTGOING', 'APPLICATIONS'],
    networks.map(({ name, cidr, gateway, bridge, outgoing, applications }) => [
      name,
      cidr,
      gateway,
      bridge,
      outgoing ? 'yes' : 'no',
      String(applications),
    ]),
  );

interface CreateOptions {
  readonly cidr?: string;
  readonly outgoing?: boolean;
}

const addCreate = (group: Command): void => {
  addVerb(group, {
    usage: 'create <name>',
    does: 'make a network: its applications reach each other, and no other network reaches them',
    example: 'appshot network create blue\nappshot network create green --cidr 10.20.0.0/24 --outgoing',
  })
    .option('--cidr <network>', 'its addresses (default: a free one)')
    .option('--outgoing', 'let its applications reach what lies outside, as this machine')
    .action(async (name: string, { cidr, outgoing = false }: CreateOptions, command: Command) => {
      const globals = globalsOf(command);
      const body = { name, outgoing, ...(cidr !== undefined && { cidr }) };
      const made = await (await connect(globals)).createNetwork(body);
      if (globals.json) printJson(made);
      else
        print(sanitiseLine(`network ${made.name} has ${made.cidr}; this machine is ${made.gateway} in it`));
    });
};

const addList = (group: Command): void => {
  addVerb(group, { usage: 'ls', does: 'list networks', example: 'appshot network ls' }).action(
    async (_: unknown, command: Command) => {
      const globals = globalsOf(command);
      const networks = await (await connect(globals)).networks();
      if (globals.json) printJson(networks);
      else print(formatNetworks(networks));
    },
  );
};

const addRemove = (group: Command): void => {
  addVerb(group, {
    usage: 'rm <network...>',
    does: 'remove networks that no application belongs to',
    example: 'appshot network rm blue',
  }).action((networks: string[], _: unknown, command: Command) =>
    changeAll(networks, command, {
      label: 'removing',
      apply: async (client, network) => {
        await client.removeNetwork(network);
        return { network, removed: true };
      },
      tell: ({ network }) => sanitiseLine(`network ${network} removed`),
    }),
  );
};

export const addNetworkVerbs = (program: Command): void => {
  const group = program
    .command('network')
    .description('make, list and remove networks of applications, apart from each other')
    .addHelpText(
      'after',
      '\nExample:\n  appshot network create blue\n  appshot run --network blue --name web -- node server.js',
    );
  addCreate(group);
  addList(group);
  addRemove(group);
};
