/** The verb `ports`: which ports of this machine lead where, and the connections that they bring there. */
import type { Command } from 'commander';
import type { PortsView } from '../../api/index.ts';
import { formatTable, print, printJson } from '../output.ts';
import { addVerb, connect, globalsOf } from '../verb.ts';

const formatPublished = (ports: PortsView['ports']): string =>
  formatTable(
    ['PORT', 'LEADS TO', 'NAME', 'SERVICE', 'STATE', 'NEW CONNECTIONS'],
    ports.map(({ protocol, address, port, target, name, service, state, takesNew }) => [
      `${protocol} ${address === null ? '' : `${address}:`}${port}`,
      target,
      name,
      service,
      state,
      takesNew ? 'yes' : 'no',
    ]),
  );

const formatConnections = (connections: PortsView['connections']): string =>
  formatTable(
    ['CLIENT', 'PORT', 'LEADS TO', 'NAME', 'SEEN AS', 'STATE', 'SINCE'],
    connections.map(({ protocol, client, first, second, name, seen, state, since }) => [
      client,
      `${protocol} ${first}`,
      second,
      name ?? '-',
      seen,
      state,
      since ?? '-',
    ]),
  );

export const formatPorts = ({ ports, connections }: PortsView): string => {
  const published = formatPublished(ports);
  return connections.length === 0 ? published : `${published}\n\n${formatConnections(connections)}`;
};

export const addPortsVerb = (program: Command): void => {
  addVerb(program, {
    usage: 'ports [app]',
    does: "list published ports with the instances behind them, and the kernel's translation of each connection",
    example: 'appshot ports\nappshot ports web --json | jq -r .connections[].second',
  }).action(async (app: string | undefined, _: unknown, command: Command) => {
    const globals = globalsOf(command);
    const view = await (await connect(globals)).ports(app);
    if (globals.json) printJson(view);
    else print(formatPorts(view));
  });
};
