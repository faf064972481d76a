/**
 * Published ports as nf_tables commands. Pure.
 *
 * The first packet of a connection to an address of this machine finds its port's chain in a verdict map, and there the next target
 * in turn; the kernel records the choice with the connection (conntrack), and all other packets follow the record without
 * passing these rules. So changes of the rules never meet a connection that is open. All of a port's chain is replaced at
 * once, and ports that did not change are left alone.
 */
import type { NftCommand } from '../kernel/index.ts';
import { formatAddress } from '../registry/index.ts';
import type { Network as Cidr } from '../registry/index.ts';

export interface Target {
  readonly address: string;
  readonly port: number;
  /** A whole number: its share of new connections beside the others'; 0 leaves it those that it has. 1 when left out. */
  readonly weight?: number;
}

export interface PublishedPort {
  readonly port: number;
  readonly protocol: 'tcp' | 'udp';
  /** Of this machine; all of its addresses when left out. */
  readonly address?: string | undefined;
  /** Without any, the port is closed: it answers as one on which nobody listens. */
  readonly targets: readonly Target[];
}

/** A network that targets are in. */
export interface Side {
  readonly bridge: string;
  readonly cidr: Cidr;
}

type Json = Readonly<Record<string, unknown>>;

const FAMILY = 'ip';
/** At most this many places in a port's round; shares are rounded to it. */
const LONGEST_ROUND = 256;
/** Before connections are tracked, and before and after the standard places of translation (linux/netfilter_ipv4.h). */
const [RAW, DNAT, FILTER, SNAT] = [-300, -100, 0, 100];

const match = (left: unknown, right: unknown, op = '=='): Json => ({ match: { op, left, right } });
const meta = (key: string): Json => ({ meta: { key } });
const ct = (key: string): Json => ({ ct: { key } });
const ip = (field: string): Json => ({ payload: { protocol: 'ip', field } });
const prefix = (addr: string, len: number): Json => ({ prefix: { addr, len } });
const LOOPBACK = prefix('127.0.0.0', 8);
const PROTOCOL = meta('l4proto');
const PORT = { payload: { protocol: 'th', field: 'dport' } };
const FROM_BRIDGE = match(meta('iifname'), '@bridges');
const TO_MACHINE = match({ fib: { result: 'type', flags: ['daddr'] } }, 'local');
/**
 * An answer that the kernel could not connect with what it has recorded (a late one, for example) would reach this machine's own client as
 * a stranger's, and be answered with a reset that ends the target's connection. The borders keep such answers from other machines.
 */
const STRAY = [match(ct('state'), 'invalid', 'in'), match(PROTOCOL, 'tcp'), FROM_BRIDGE];
const DROP = { drop: null };

/** What tells two published ports apart. */
export const keyOf = ({ protocol, address, port }: Omit<PublishedPort, 'targets'>): string =>
  `${protocol}_${port}${address === undefined ? '' : `_${address.replaceAll('.', '_')}`}`;

const commonDivisor = (a: number, b: number): number => (b === 0 ? a : commonDivisor(b, a % b));

/** Shares as small as their ratios allow. */
const sharesOf = (targets: readonly Target[]): number[] => {
  const weights = targets.map(({ weight = 1 }) => weight);
  const divisor = weights.reduce(commonDivisor, 0) || 1;
  const total = weights.reduce((sum, weight) => sum + weight, 0) / divisor;
  const scale = Math.max(1, total / LONGEST_ROUND);
  return weights.map((weight) => weight && Math.max(1, Math.round(weight / divisor / scale)));
};

/** One round of new connections: each target as often as its share says, as evenly spread as can be. */
export const roundOf = (targets: readonly Target[]): Target[] => {
  const shares = sharesOf(targets);
  const places = targets.flatMap((target, index) => {
    const share = shares[index] ?? 0;
    return Array.from({ length: share }, (_, turn) => ({ target, at: (turn + 0.5) / share }));
  });
  return places.toSorted((a, b) => a.at - b.at).map(({ target }) => target);
};

/** Where a new connection goes. One target needs no turns. */
const translation = (round: readonly Target[]): Json => {
  const [first] = round;
  if (first && round.every(({ address, port }) => address === first.address && port === first.port))
    return { dnat: { addr: first.address, port: first.port } };
  const places = round.map(({ address, port }, place) => [place, { concat: [address, port] }]);
  const turn = { numgen: { mode: 'inc', mod: round.length, offset: 0 } };
  return { dnat: { addr: { map: { key: turn, data: { set: places } } } } };
};

export class Rules {
  readonly #own: { family: string; table: string };
  readonly #mark: number;

  /** `mark` is what connections of published ports are marked with. */
  constructor(table: string, mark: number) {
    this.#own = { family: FAMILY, table };
    this.#mark = mark;
  }

  #rule(chain: string, ...expr: Json[]): NftCommand {
    return { add: { rule: { ...this.#own, chain, expr } } };
  }

  #chain(name: string): NftCommand {
    return { add: { chain: { ...this.#own, name } } };
  }

  #hook(name: string, type: 'nat' | 'filter', hook: string, prio: number | undefined): NftCommand {
    return { add: { chain: { ...this.#own, name, type, hook, prio, policy: 'accept' } } };
  }

  #map(name: string, type: readonly string[]): NftCommand {
    return { add: { map: { ...this.#own, name, type, map: 'verdict' } } };
  }

  get #marked(): Json {
    return match(ct('mark'), this.#mark);
  }

  /** In place of whatever the table holds: everything but ports and sides. */
  base(): NftCommand[] {
    const table = { table: { family: FAMILY, name: this.#own.table } };
    // A packet that was translated never comes in here: what is marked and does is for a port that has no target.
    const closed = [match(ct('direction'), 'original'), this.#marked];
    const lookUp = (map: string, ...key: unknown[]): Json => ({
      vmap: { key: { concat: key }, data: `@${map}` },
    });
    return [
      { add: table },
      { delete: table },
      { add: table },
      this.#map('exact', ['ipv4_addr', 'inet_proto', 'inet_service']),
      this.#map('any', ['inet_proto', 'inet_service']),
      { add: { set: { ...this.#own, name: 'bridges', type: 'ifname' } } },
      this.#chain('published'),
      this.#rule('published', lookUp('exact', ip('daddr'), PROTOCOL, PORT)),
      this.#rule('published', lookUp('any', PROTOCOL, PORT)),
      this.#chain('sources'),
      this.#hook('guard', 'filter', 'prerouting', RAW),
      // The bridges let loopback addresses pass, so that answers to this machine's own clients do: no other may.
      ...['saddr', 'daddr'].map((field) =>
        this.#rule('guard', match(ip(field), LOOPBACK), FROM_BRIDGE, DROP),
      ),
      ...['prerouting', 'output'].flatMap((hook) => [
        this.#hook(hook, 'nat', hook, DNAT),
        this.#rule(hook, TO_MACHINE, { goto: { target: 'published' } }),
      ]),
      this.#hook('postrouting', 'nat', 'postrouting', SNAT),
      this.#rule('postrouting', this.#marked, { goto: { target: 'sources' } }),
      this.#hook('input', 'filter', 'input', FILTER),
      this.#rule('input', ...closed, match(PROTOCOL, 'tcp'), { reject: { type: 'tcp reset' } }),
      this.#rule('input', ...closed, { reject: { type: 'icmp', expr: 'port-unreachable' } }),
      this.#rule('input', ...STRAY, DROP),
    ];
  }

  /** In place of the sides before. */
  sides(sides: readonly Side[]): NftCommand[] {
    const bridges = { ...this.#own, name: 'bridges' };
    const masquerade = { masquerade: null };
    return [
      { flush: { chain: { ...this.#own, name: 'sources' } } },
      { flush: { set: bridges } },
      ...(sides.length === 0
        ? []
        : [{ add: { element: { ...bridges, elem: sides.map(({ bridge }) => bridge) } } }]),
      // An answer must come back here: not to the target's own loopback, nor straight to its neighbour on the bridge.
      this.#rule('sources', match(ip('saddr'), LOOPBACK), masquerade),
      ...sides.map(({ bridge, cidr }) =>
        this.#rule(
          'sources',
          match(meta('oifname'), bridge),
          match(ip('saddr'), prefix(formatAddress(cidr.base), cidr.prefix)),
          masquerade,
        ),
      ),
    ];
  }

  #fill(published: PublishedPort): NftCommand {
    const round = roundOf(published.targets);
    const mark = { mangle: { key: ct('mark'), value: this.#mark } };
    const to = round.length === 0 ? [] : [translation(round)];
    return this.#rule(keyOf(published), match(PROTOCOL, published.protocol), mark, ...to);
  }

  #element(published: PublishedPort): Json {
    const { address, protocol, port } = published;
    const key = address === undefined ? [protocol, port] : [address, protocol, port];
    const elem = [[{ concat: key }, { goto: { target: keyOf(published) } }]];
    return { element: { ...this.#own, name: address === undefined ? 'any' : 'exact', elem } };
  }

  open(published: PublishedPort): NftCommand[] {
    return [this.#chain(keyOf(published)), this.#fill(published), { add: this.#element(published) }];
  }

  /** Other targets for a port that is open. */
  change(published: PublishedPort): NftCommand[] {
    return [{ flush: { chain: { ...this.#own, name: keyOf(published) } } }, this.#fill(published)];
  }

  close(published: PublishedPort): NftCommand[] {
    const chain = { chain: { ...this.#own, name: keyOf(published) } };
    return [{ delete: this.#element(published) }, { flush: chain }, { delete: chain }];
  }

  remove(): NftCommand[] {
    return [{ delete: { table: { family: FAMILY, name: this.#own.table } } }];
  }
}
