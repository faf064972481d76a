/** Which address an application gets. Pure: who owns an address is asked through a function, so every store can use it. */
import { AppShotError } from '../common/index.ts';
import { contains, formatAddress, parseAddress } from './cidr.ts';
import type { Network } from './cidr.ts';

export interface Occupancy {
  /** Who has the address, in words for an error message; `undefined` when it is free. */
  owner(address: number): string | undefined;
  /** The address given out last without being asked for; the search begins behind it. */
  readonly last: number | undefined;
}

/** The addresses that no application may have, with who has them. */
const withheld = (network: Network, reserved: readonly string[]): Map<number, string> =>
  new Map([
    ...reserved.map((address) => [parseAddress(address) ?? -1, 'this machine'] as const),
    [network.base, 'the network itself'],
    [network.broadcast, 'the broadcast of the network'],
    [network.gateway, 'the gateway of the network'],
  ]);

const checkRequested = (
  network: Network,
  requested: string,
  owner: (address: number) => string | undefined,
): number => {
  const address = parseAddress(requested);
  if (address === undefined) {
    throw new AppShotError('BAD_REQUEST', {
      field: 'address',
      reason: `${requested} is not an IPv4 address`,
    });
  }
  if (!contains(network, address)) {
    throw new AppShotError('ADDRESS_OUTSIDE', { address: requested, network: network.cidr });
  }
  const taker = owner(address);
  if (taker !== undefined) throw new AppShotError('ADDRESS_IN_USE', { address: requested, owner: taker });
  return address;
};

/**
 * The first free address behind the last one given out, going round at the end: a released address rests as long as
 * possible, since neighbours may still send to its old owner.
 */
const findFree = (
  network: Network,
  last: number | undefined,
  owner: (address: number) => string | undefined,
): number => {
  const first = network.gateway + 1;
  const count = network.broadcast - first;
  const start = last !== undefined && contains(network, last) ? last + 1 - first : 0;
  for (let step = 0; step < count; step += 1) {
    const candidate = first + ((start + step) % count);
    if (owner(candidate) === undefined) return candidate;
  }
  throw new AppShotError('ADDRESSES_EXHAUSTED', { network: network.cidr });
};

/** Throws BAD_REQUEST, ADDRESS_OUTSIDE or ADDRESS_IN_USE for a requested address, else ADDRESSES_EXHAUSTED. */
export const chooseAddress = (
  network: Network,
  request: { readonly requested?: string | undefined; readonly reserved?: readonly string[] },
  occupancy: Occupancy,
): string => {
  const kept = withheld(network, request.reserved ?? []);
  const owner = (address: number): string | undefined => kept.get(address) ?? occupancy.owner(address);
  const address =
    request.requested === undefined
      ? findFree(network, occupancy.last, owner)
      : checkRequested(network, request.requested, owner);
  return formatAddress(address);
};
