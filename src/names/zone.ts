/**
 * What a question for a name is answered with. Pure.
 *
 * Below `appshot.internal` (of the top-level domain set aside for private use) each network has a zone: `web.blue.appshot.internal`.
 * An application asks on its own network's gateway, and sees the names of that network alone. `web` is short for the name in the
 * asker's network, `web.appshot.internal` for the one in the network `default`. A name is an application's, its host name, or its
 * service's, which all instances share; whether they run or sleep makes no difference.
 */
import { BlockList, isIPv4 } from 'node:net';
import { DEFAULT_NETWORK } from '../api/index.ts';

const TOP = 'internal';
export const ZONE = `appshot.${TOP}`;

export interface NamedInstance {
  readonly name: string;
  readonly hostname: string;
  readonly service: string;
  readonly network: string;
  readonly address: string;
}

/** The network in which a question was asked. */
export interface AskedNetwork {
  readonly name: string;
  readonly cidr: string;
}

export interface NameQuestion {
  /** As asked: in any case, without the last dot. */
  readonly name: string;
  /** `A`, `PTR`, ...; a type without a name of its own as `UNKNOWN_65`. */
  readonly type: string;
}

export interface NameRecord {
  readonly type: 'A' | 'PTR' | 'SOA';
  /** An address, or a name; of the zone itself, none. */
  readonly data: string;
}

export type NameAnswer =
  /** The name exists; there may be no record of the type, as for an application's AAAA. */
  | { readonly kind: 'found'; readonly records: readonly NameRecord[] }
  /** Nobody has the name. */
  | { readonly kind: 'unknown' }
  /** It is for another server to tell. */
  | { readonly kind: 'elsewhere' };

const EMPTY: NameAnswer = { kind: 'found', records: [] };
const UNKNOWN: NameAnswer = { kind: 'unknown' };
const ELSEWHERE: NameAnswer = { kind: 'elsewhere' };

/** Whether a name in lower case is that of the zone, or below it. */
export const inZone = (name: string): boolean => name === ZONE || name.endsWith(`.${ZONE}`);

/** What an application is called in full. */
export const fullName = ({ name, network }: Pick<NamedInstance, 'name' | 'network'>): string =>
  `${name}.${network}.${ZONE}`;

/** What a label is followed by in a network, the longest first. */
const endsIn = (network: string): string[] => [
  `.${network}.${ZONE}`,
  ...(network === DEFAULT_NETWORK ? [`.${ZONE}`] : []),
];

/** The one label that is asked for in `network`, if the name has such a form. */
const labelIn = (name: string, network: string): string | undefined => {
  const end = endsIn(network).find((tail) => name.endsWith(tail)) ?? '';
  const label = name.slice(0, name.length - end.length);
  return label === '' || label.includes('.') ? undefined : label;
};

/**
 * What an instance is found by outside of its network, by which it has to be told from those of others: its full name first. In the
 * network `default` a label alone is one too, but not those of `taken`, which mean something on this machine already.
 */
export const outsideNames = (
  { name, hostname, service, network }: NamedInstance,
  taken: readonly string[],
): string[] => {
  const labels = [...new Set([name, hostname, service])];
  const bare = network === DEFAULT_NETWORK ? labels.filter((label) => !taken.includes(label)) : [];
  return [...labels.flatMap((label) => endsIn(network).map((end) => label + end)), ...bare];
};

const addressesOf = (instances: readonly NamedInstance[], label: string): string[] => {
  const named = instances.filter(
    ({ name, hostname, service }) => name === label || hostname === label || service === label,
  );
  return [...new Set(named.map(({ address }) => address))];
};

const REVERSE = /^(\d+)\.(\d+)\.(\d+)\.(\d+)\.in-addr\.arpa$/;

/** The address whose name is asked for. */
const reversed = (name: string): string | undefined => {
  const address = REVERSE.exec(name)?.slice(1).toReversed().join('.') ?? '';
  return isIPv4(address) ? address : undefined;
};

const within = (address: string, cidr: string): boolean => {
  const [start = '', length] = cidr.split('/');
  const list = new BlockList();
  list.addSubnet(start, Number(length));
  return list.check(address);
};

const answerReverse = (
  instances: readonly NamedInstance[],
  address: string,
  { type }: NameQuestion,
  network: AskedNetwork,
): NameAnswer => {
  const owner = instances.find((instance) => instance.address === address);
  // A program that looks up who connected must not wait for a server outside, which cannot know.
  if (owner === undefined) return within(address, network.cidr) ? UNKNOWN : ELSEWHERE;
  if (type !== 'PTR' && type !== 'ANY') return EMPTY;
  return { kind: 'found', records: [{ type: 'PTR', data: fullName(owner) }] };
};

const answerZone = (type: string): NameAnswer =>
  type === 'SOA' || type === 'ANY' ? { kind: 'found', records: [{ type: 'SOA', data: '' }] } : EMPTY;

/** A name that nobody has. */
const answerUnknown = (name: string, { type }: NameQuestion, network: AskedNetwork): NameAnswer => {
  if (name === ZONE) return answerZone(type);
  // What has names below it exists.
  if (name === `${network.name}.${ZONE}`) return EMPTY;
  if (inZone(name)) return UNKNOWN;
  if (name === TOP) return EMPTY;
  // A mistyped name is no other server's business; a top-level domain, which has no address, is.
  return !name.includes('.') && (type === 'A' || type === 'AAAA') ? UNKNOWN : ELSEWHERE;
};

/** Answers a question that was asked in `network`, out of all instances of all networks. */
export const answer = (
  instances: readonly NamedInstance[],
  question: NameQuestion,
  network: AskedNetwork,
): NameAnswer => {
  const name = question.name.toLowerCase();
  const own = instances.filter((instance) => instance.network === network.name);
  const address = reversed(name);
  if (address !== undefined) return answerReverse(own, address, question, network);
  const label = labelIn(name, network.name);
  const addresses = label === undefined ? [] : addressesOf(own, label);
  if (addresses.length === 0) return answerUnknown(name, question, network);
  if (question.type !== 'A' && question.type !== 'ANY') return EMPTY;
  return { kind: 'found', records: addresses.map((data) => ({ type: 'A', data })) };
};
