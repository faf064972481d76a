/** The resolver's configuration (resolv.conf): the one that applications get, and what the machine's own says. Pure. */
import { isIP } from 'node:net';
import { ZONE } from './zone.ts';

/** What an application's /etc/resolv.conf holds: its gateway answers, and a name without a dot is one of its network. */
export const resolverFile = (gateway: string, network: string): string =>
  `nameserver ${gateway}\nsearch ${network}.${ZONE}\noptions ndots:1\n`;

/** The name servers that a resolv.conf names, without `own`: those are this machine's gateways, and would ask themselves. */
export const serversOf = (text: string, own: readonly string[] = []): string[] => {
  const named = text.split('\n').map((line) => /^nameserver[ \t]+(\S+)/.exec(line)?.[1] ?? '');
  return [...new Set(named)].filter((server) => isIP(server) !== 0 && !own.includes(server));
};
