/**
 * The rules between networks, as data (patent, figure 1: several virtual networks on one machine). Pure.
 *
 * However many networks there are, the rules are the same; what differs is in sets, so that a packet costs the same. They come before
 * the rules of what may wake (priority 0): what may not pass must not learn which ports a sleeper listens on.
 */
import { formatAddress, parseNetwork } from '../registry/index.ts';
import { ACCEPT, DROP, concat, goTo, match, meta, payload } from './border-expressions.ts';
import type { Expression, Table } from './border-expressions.ts';

export interface BorderedNetwork {
  readonly name: string;
  /** Name of the bridge. */
  readonly bridge: string;
  readonly cidr: string;
  /** Whether its applications may reach what is not on this machine. */
  readonly outgoing: boolean;
}

/** Where the web gateway listens: at all addresses of this machine when none is named. */
export interface WebPort {
  readonly address?: string;
  readonly port: number;
}

const BEFORE_THE_WAKE_FILTER = -10;
const [AFTER_DESTINATION_NAT, SOURCE_NAT] = [-90, 100];

const [IN, OUT] = [meta('iifname'), meta('oifname')];
const inSet = (value: Expression, set: string): Expression => match(value, `@${set}`);
const outside = (value: Expression): Expression => match(value, '@bridges', '!=');
const ct = (key: string, value: unknown): Expression => match({ ct: { key } }, value, 'in');
const protocol = (name: string): Expression => match(meta('l4proto'), name);
const NOT_IPV4 = match(meta('nfproto'), 'ipv4', '!=');
/** Translated by a published port. */
const PUBLISHED = ct('status', 'dnat');
const CONTINUES = [ct('state', ['established', 'related']), ACCEPT];
/** No answer to it may be made: a reset would end a connection of which conntrack has lost sight. */
const UNKNOWN = [ct('state', 'invalid'), DROP];
const reject = (type: string, expr?: string): Expression => ({ reject: expr ? { type, expr } : { type } });

const fib = (result: string, ...flags: string[]): Expression => ({ fib: { result, flags } });
/** It is neither for this machine nor for many. */
const FOR_ANOTHER = match(fib('type', 'daddr'), 'unicast');
/** The way there is the one that it came. */
const STAYS = match(fib('oif', 'daddr', 'iif'), true);

/**
 * From an application, before anything is forwarded: a machine that forwards nothing would drop it without a word. Decides only about
 * what begins; all else comes along below.
 */
const ARRIVAL: readonly (readonly Expression[])[] = [
  // First what nearly every packet is, and costs least to find out.
  [ct('state', ['established', 'related', 'invalid']), ACCEPT],
  [outside(IN), ACCEPT],
  [PUBLISHED, ACCEPT],
  [NOT_IPV4, ACCEPT],
  [FOR_ANOTHER, goTo('leaving')],
];

const LEAVING: readonly (readonly Expression[])[] = [
  [STAYS, ACCEPT],
  [inSet(payload('ip', 'daddr'), 'networks'), goTo('refuse')],
  [inSet(IN, 'outgoing'), ACCEPT],
  [goTo('refuse')],
];

/** From one interface to another. */
const FORWARD: readonly (readonly Expression[])[] = [
  // With br_netfilter, packets between the ports of one bridge come along here too.
  [inSet(concat(IN, OUT), 'within'), ACCEPT],
  [outside(IN), outside(OUT), ACCEPT],
  [NOT_IPV4, DROP],
  UNKNOWN,
  [inSet(OUT, 'bridges'), PUBLISHED, ACCEPT],
  [inSet(OUT, 'bridges'), inSet(IN, 'bridges'), goTo('refuse')],
  CONTINUES,
  [inSet(OUT, 'bridges'), DROP],
  [inSet(IN, 'outgoing'), ACCEPT],
  [goTo('refuse')],
];

/** What everybody may ask for, applications of any network too. Also without a connection that conntrack knows, see `GATEWAY`. */
const webRule = ({ address, port }: WebPort): readonly Expression[] => [
  ...(address === undefined ? [] : [match(payload('ip', 'daddr'), address)]),
  match(payload('tcp', 'dport'), port),
  ACCEPT,
];

const NAMES_PORT = 53;
/**
 * To a name server from neither an application nor this machine itself, which asks by its loopback interface. An answer would be what others
 * make use of against third parties, whose addresses they send from.
 */
const STRANGERS_QUESTIONS: readonly (readonly Expression[])[] = ['udp', 'tcp'].map((name) => [
  outside(IN),
  match(IN, 'lo', '!='),
  inSet(payload('ip', 'daddr'), 'answering'),
  match(payload(name, 'dport'), NAMES_PORT),
  DROP,
]);

/** To this machine, from an application above all. */
const inputRules = (web: readonly WebPort[]): readonly (readonly Expression[])[] => [
  [match(meta('nfproto'), 'ipv4'), ...CONTINUES],
  ...STRANGERS_QUESTIONS,
  [outside(IN), ACCEPT],
  [NOT_IPV4, DROP],
  [PUBLISHED, ACCEPT],
  ...web.filter(({ address = '' }) => !address.includes(':')).map(webRule),
  [inSet(concat(IN, payload('ip', 'daddr')), 'gateways'), goTo('gateway')],
  UNKNOWN,
  [goTo('refuse')],
];

/** What a network's own gateway answers to. */
const GATEWAY: readonly (readonly Expression[])[] = [
  // Conntrack forgets connections whose application slept for days, and does not know those from before it was there.
  [protocol('tcp'), match({ '&': [payload('tcp', 'flags'), ['syn', 'ack']] }, 'syn', '!='), ACCEPT],
  ...['udp', 'tcp'].map((name) => [match(payload(name, 'dport'), NAMES_PORT), ACCEPT]),
  [match(payload('icmp', 'type'), 'echo-request'), ACCEPT],
  [goTo('refuse')],
];

/**
 * The sender hears of it at once. The kernel makes few ICMP messages for one address (`icmp_ratelimit`: one in a second, after six): many
 * connections that are begun together would wait, so each gets a reset.
 */
const REFUSE: readonly (readonly Expression[])[] = [
  [protocol('tcp'), reject('tcp reset')],
  [reject('icmpx', 'admin-prohibited')],
];

/** The table for these networks, whose addresses do not overlap. */
export const borderTable = (
  name: string,
  networks: readonly BorderedNetwork[],
  web: readonly WebPort[] = [],
): Table => {
  const leaving = networks.filter(({ outgoing }) => outgoing);
  const bridges = (of: readonly BorderedNetwork[]): string[] => of.map(({ bridge }) => bridge);
  const network = (cidr: string): Expression => {
    const { base, prefix } = parseNetwork(cidr);
    return { prefix: { addr: formatAddress(base), len: prefix } };
  };
  const gateway = ({ cidr }: BorderedNetwork): string => formatAddress(parseNetwork(cidr).gateway);
  const hook = (at: string, prio = BEFORE_THE_WAKE_FILTER) => ({ type: 'filter', hook: at, prio }) as const;
  return {
    family: 'inet',
    name,
    sets: {
      bridges: { type: 'ifname', elements: bridges(networks) },
      outgoing: { type: 'ifname', elements: bridges(leaving) },
      within: {
        type: ['ifname', 'ifname'],
        elements: bridges(networks).map((bridge) => concat(bridge, bridge)),
      },
      gateways: {
        type: ['ifname', 'ipv4_addr'],
        elements: networks.map((one) => concat(one.bridge, gateway(one))),
      },
      answering: { type: 'ipv4_addr', elements: networks.map(gateway) },
      networks: { type: 'ipv4_addr', ranges: true, elements: networks.map(({ cidr }) => network(cidr)) },
      masqueraded: { type: 'ipv4_addr', ranges: true, elements: leaving.map(({ cidr }) => network(cidr)) },
    },
    chains: {
      refuse: { rules: REFUSE },
      gateway: { rules: GATEWAY },
      leaving: { rules: LEAVING },
      prerouting: { hook: hook('prerouting', AFTER_DESTINATION_NAT), rules: ARRIVAL },
      forward: { hook: hook('forward'), rules: FORWARD },
      input: { hook: hook('input'), rules: inputRules(web) },
      postrouting: {
        hook: { type: 'nat', hook: 'postrouting', prio: SOURCE_NAT },
        rules: [[inSet(payload('ip', 'saddr'), 'masqueraded'), outside(OUT), { masquerade: null }]],
      },
    },
  };
};
