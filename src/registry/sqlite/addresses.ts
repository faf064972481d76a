/** The rows of given-out addresses. Every function here runs inside a transaction of its caller. */
import { AppShotError } from '../../common/index.ts';
import { chooseAddress } from '../choose-address.ts';
import { contains, formatAddress, parseAddress, parseNetwork } from '../cidr.ts';
import type { AddressRequest } from '../registry.ts';
import type { Store } from './store.ts';

const prepare = (store: Store) => ({
  owner: store.prepare(
    'SELECT coalesce(name, aid) AS owner FROM addresses LEFT JOIN applications USING (aid) WHERE addresses.address = ?',
  ),
  held: store.prepare('SELECT address FROM addresses WHERE aid = ?'),
  take: store.prepare('INSERT INTO addresses (address, aid) VALUES (?, ?)'),
  last: store.prepare('SELECT address FROM lastAddresses WHERE network = ?'),
  remember: store.prepare('INSERT OR REPLACE INTO lastAddresses (network, address) VALUES (?, ?)'),
  release: store.prepare('DELETE FROM addresses WHERE aid = ?'),
});

export const addressTable = (store: Store) => {
  const statements = prepare(store);
  const owner = (address: number): string | undefined => {
    const row = statements.owner.get(address);
    return row === undefined ? undefined : `the application ${String(row['owner'])}`;
  };
  const held = (aid: string): number | undefined =>
    statements.held.get(aid)?.['address'] as number | undefined;
  return {
    /** The address the AID holds, if it is one that the request could be answered with; throws AID_TAKEN if not. */
    allocate(aid: string, request: AddressRequest): string {
      const network = parseNetwork(request.network);
      const own = held(aid);
      if (own !== undefined) {
        const fits = contains(network, own) && [undefined, formatAddress(own)].includes(request.requested);
        if (!fits) throw new AppShotError('AID_TAKEN', { aid });
        return formatAddress(own);
      }
      const last = statements.last.get(network.cidr)?.['address'] as number | undefined;
      const address = chooseAddress(network, request, { owner, last });
      const number = parseAddress(address) ?? 0;
      statements.take.run(number, aid);
      if (request.requested === undefined) statements.remember.run(network.cidr, number);
      return address;
    },
    release(aid: string): void {
      statements.release.run(aid);
    },
  };
};
