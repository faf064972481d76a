/**
 * What an application was asked, as its port sees it: the chains and sets of the port guard that count, and what they say.
 *
 * TCP counts by the application's answers: its kernel answers a closed port with a reset, and everything that means something with a segment
 * that acknowledges. So neither scans nor connections that are refused count, and nothing has to be known of who listens where. Datagrams
 * count as they are delivered: whether somebody listens, only the application's own kernel knows. What comes from, or goes to, an
 * address that the application ignores is passed over. Nothing else counts: no ping, no ARP, no broadcast.
 */
import type { CountedElement } from '../kernel/index.ts';
import { ACCEPT, concat, match, meta, payload } from './border-expressions.ts';
import type { Expression, Table } from './border-expressions.ts';
import { rangesOf } from './ignored.ts';

/** What ports that ignore nobody answered, and what others did. */
const [ANSWERS, CHOSEN] = ['answers', 'chosen'];
const DATAGRAMS = 'datagrams';
const IGNORED = 'ignored';

export interface Heard {
  /** TCP segments by which it acknowledged something. */
  readonly answers: number;
  /** UDP datagrams delivered to it, whether or not somebody listened. */
  readonly datagrams: number;
}

const ACKNOWLEDGES = match({ '&': [payload('tcp', 'flags'), ['ack', 'rst']] }, 'ack');
/** True of each datagram's first fragment. */
const DATAGRAM = match(payload('udp', 'dport'), 0, '!=');
const IDENTITY = ['ifname', 'ether_addr', 'ipv4_addr'];

export const HEARD_SETS: Table['sets'] = {
  [ANSWERS]: { type: IDENTITY, counts: true },
  [CHOSEN]: { type: IDENTITY, counts: true },
  [DATAGRAMS]: { type: ['ifname', 'ipv4_addr'], counts: true },
  [IGNORED]: { type: ['ifname', 'ipv4_addr'], ranges: true },
};

/** Whether somebody counts: who sent it, or gets it by the port `name`, and the other one. */
const heeded = (name: string, peer: string): Expression =>
  match(concat(meta(name), payload('ip', peer)), `@${IGNORED}`, '!=');

/**
 * For the guard, before it looks whether a packet is from whom it says: one look in a set tells that and counts, so that an answer costs no
 * more than other packets. `sender` is who it says. What does not count is left to the guard's next rules.
 */
export const answerRules = (sender: Expression): readonly (readonly Expression[])[] => {
  const answer = [match(payload('ether', 'type'), 'ip'), ACKNOWLEDGES];
  return [
    [...answer, match(sender, `@${ANSWERS}`), ACCEPT],
    [...answer, heeded('iifname', 'daddr'), match(sender, `@${CHOSEN}`), ACCEPT],
  ];
};

/** What is delivered to ports whose names begin with `prefix`. */
export const deliveries = (prefix: string, priority: number): Table['chains'] => ({
  deliveries: {
    hook: { type: 'filter', hook: 'postrouting', prio: priority },
    rules: [
      [
        match(meta('oifname'), `${prefix}*`),
        DATAGRAM,
        heeded('oifname', 'saddr'),
        match(concat(meta('oifname'), payload('ip', 'daddr')), `@${DATAGRAMS}`),
      ],
    ],
  },
});

interface Hearer {
  readonly interface: string;
  readonly address: string;
  readonly mac: string;
  readonly ignored?: readonly string[];
}

/** The elements of a port's sets, by set. */
export const heardElements = (hearers: readonly Hearer[]): ReadonlyMap<string, readonly unknown[]> => {
  const [wary, others] = [
    hearers.filter(({ ignored = [] }) => ignored.length > 0),
    hearers.filter(({ ignored = [] }) => ignored.length === 0),
  ];
  const identity = ({ interface: port, mac, address }: Hearer): unknown => concat(port, mac, address);
  return new Map([
    [ANSWERS, others.map(identity)],
    [CHOSEN, wary.map(identity)],
    [DATAGRAMS, hearers.map(({ interface: port, address }) => concat(port, address))],
    [
      IGNORED,
      wary.flatMap(({ interface: port, ignored = [] }) =>
        rangesOf(ignored).map((range) => concat(port, range)),
      ),
    ],
  ]);
};

/** What the sets say, by port; `read` gives a set's elements. */
export const readHeard = (read: (set: string) => readonly CountedElement[]): Map<string, Heard> => {
  const heard = new Map<string, { answers: number; datagrams: number }>();
  for (const [set, field] of [
    [ANSWERS, 'answers'],
    [CHOSEN, 'answers'],
    [DATAGRAMS, 'datagrams'],
  ] as const)
    for (const { key, packets } of read(set)) {
      const port = key.toString('latin1', 0, key.indexOf(0));
      const one = heard.get(port) ?? { answers: 0, datagrams: 0 };
      one[field] += packets;
      heard.set(port, one);
    }
  return heard;
};
