/**
 * What an application was asked, as its port sees it: the chains and sets of the port guard that count, and what they say.
 *
 * TCP counts by the application's answers: its kernel answers a closed port with a reset, and everything that means something with a segment
 * that acknowledges. So neither scans nor connections that are refused count, and nothing has to be known of who listens where. Datagrams
 * count as they are delivered: whether somebody listens, only the application's own kernel knows. What comes from, or goes to, an
 * address that the application ignores is passed over. Nothing else counts: no ping, no ARP, no broadcast.
 */
import type { CountedElement } from '../kernel/index.ts';
import { concat, match, meta, payload } from './border-expressions.ts';
import type { Expression, Table } from './border-expressions.ts';
import { rangesOf } from './ignored.ts';

export const HEARD = 'heard';
export const IGNORED = 'ignored';

export interface Heard {
  /** TCP segments by which it acknowledged something. */
  readonly answers: number;
  /** UDP datagrams delivered to it, whether or not somebody listened. */
  readonly datagrams: number;
}

const ACKNOWLEDGES = match({ '&': [payload('tcp', 'flags'), ['ack', 'rst']] }, 'ack');
/** True of each datagram's first fragment. */
const DATAGRAM = match(payload('udp', 'dport'), 0, '!=');

export const HEARD_SETS: Table['sets'] = {
  [HEARD]: { type: ['ifname', 'ipv4_addr', 'inet_proto'], counts: true },
  [IGNORED]: { type: ['ifname', 'ipv4_addr'], ranges: true },
};

/** `priority` is after the guard's own. */
export const heardChains = (prefix: string, priority: number): Table['chains'] => {
  const chain = (hook: string, name: string, own: string, peer: string, counts: Expression) => {
    const port = meta(name);
    const counted = concat(port, payload('ip', own), meta('l4proto'));
    return {
      hook: { type: 'filter', hook, prio: priority } as const,
      rules: [
        [
          match(port, `${prefix}*`),
          counts,
          match(concat(port, payload('ip', peer)), `@${IGNORED}`, '!='),
          match(counted, `@${HEARD}`),
        ],
      ],
    };
  };
  return {
    answers: chain('prerouting', 'iifname', 'saddr', 'daddr', ACKNOWLEDGES),
    datagrams: chain('postrouting', 'oifname', 'daddr', 'saddr', DATAGRAM),
  };
};

/** The elements of a port's sets. */
export const heardElements = (port: string, address: string): unknown[] =>
  ['tcp', 'udp'].map((protocol) => concat(port, address, protocol));
export const ignoredElements = (port: string, ignored: readonly string[]): unknown[] =>
  rangesOf(ignored).map((range) => concat(port, range));

const PORT_SIZE = 16;
const PROTOCOL_AT = PORT_SIZE + 4;
const TCP = 6;

/** What the set's elements say, by port. */
export const heardIn = (elements: readonly CountedElement[]): Map<string, Heard> => {
  const heard = new Map<string, { answers: number; datagrams: number }>();
  for (const { key, packets } of elements) {
    const port = key.toString('latin1', 0, key.indexOf(0));
    const one = heard.get(port) ?? { answers: 0, datagrams: 0 };
    one[key[PROTOCOL_AT] === TCP ? 'answers' : 'datagrams'] += packets;
    heard.set(port, one);
  }
  return heard;
};
