/** IPv4 networks as arithmetic: an address is an unsigned 32-bit number. Pure. */
import { AppShotError } from '../common/index.ts';

/** A network and the addresses in it that have a meaning of their own. */
export interface Network {
  /** As given, for example 10.10.0.0/16. */
  readonly cidr: string;
  /** The network's own address. */
  readonly base: number;
  readonly prefix: number;
  /** The first host, which is this machine's side of the network. */
  readonly gateway: number;
  readonly broadcast: number;
}

/** The number of a dotted address, `undefined` if it is none. Leading zeros are refused: programs disagree about octal. */
export const parseAddress = (text: string): number | undefined => {
  const octets = text.split('.');
  if (
    octets.length !== 4 ||
    !octets.every((octet) => /^(0|[1-9]\d{0,2})$/.test(octet) && Number(octet) < 256)
  ) {
    return undefined;
  }
  return octets.reduce((address, octet) => address * 256 + Number(octet), 0);
};

export const formatAddress = (address: number): string =>
  [24, 16, 8, 0].map((shift) => (address >>> shift) & 255).join('.');

export const contains = (network: Pick<Network, 'base' | 'broadcast'>, address: number): boolean =>
  address >= network.base && address <= network.broadcast;

/** Two networks overlap when one holds the other's base. */
export const overlap = (
  one: Pick<Network, 'base' | 'prefix'>,
  other: Pick<Network, 'base' | 'prefix'>,
): boolean => {
  const size = 2 ** (32 - Math.min(one.prefix, other.prefix));
  return Math.floor(one.base / size) === Math.floor(other.base / size);
};

/** With a prefix of 8 or more, the first octet is the same for the whole network. */
const isForHosts = (base: number): boolean => {
  const first = base >>> 24;
  return first > 0 && first !== 127 && first < 224;
};

/** Throws BAD_NETWORK when it is malformed, has host bits set, is not between /8 and /30, or is no network for hosts. */
export const parseNetwork = (cidr: string): Network => {
  const refuse = (reason: string): AppShotError => new AppShotError('BAD_NETWORK', { network: cidr, reason });
  const match = /^([\d.]+)\/(0|[1-9]\d?)$/.exec(cidr);
  const base = parseAddress(match?.[1] ?? '');
  if (match === null || base === undefined) throw refuse('it is not an IPv4 network such as 10.10.0.0/16');
  const prefix = Number(match[2]);
  if (prefix < 8 || prefix > 30) throw refuse('its prefix is not between /8 and /30');
  const size = 2 ** (32 - prefix);
  if (base % size !== 0)
    throw refuse(`it has host bits set; the network is ${formatAddress(base - (base % size))}/${prefix}`);
  if (!isForHosts(base)) throw refuse('it is not a network for hosts');
  return { cidr, base, prefix, gateway: base + 1, broadcast: base + size - 1 };
};
