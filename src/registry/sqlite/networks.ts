/** The rows of networks. Every function here runs inside a transaction of its caller. */
import { AppShotError } from '../../common/index.ts';
import { chooseNetwork } from '../choose-network.ts';
import { formatAddress, overlap, parseNetwork } from '../cidr.ts';
import type { AddressRange, NetworkRecord, NewNetwork } from '../registry.ts';
import type { Store } from './store.ts';

const toRecord = (row: Record<string, unknown>): NetworkRecord => ({
  name: row['name'] as string,
  number: row['number'] as number,
  cidr: row['cidr'] as string,
  outgoing: row['outgoing'] === 1,
  createdAt: row['createdAt'] as string,
});

const rangeOf = ({ name, cidr }: NetworkRecord): AddressRange => {
  const { base, prefix } = parseNetwork(cidr);
  return { owner: `the network ${name}`, base, prefix };
};

/** The smallest from 1 on that none has: interfaces are named after it, and their names are short. */
const freeNumber = (taken: readonly NetworkRecord[]): number => {
  const numbers = new Set(taken.map(({ number }) => number));
  for (let number = 1; ; number += 1) if (!numbers.has(number)) return number;
};

export const networkTable = (store: Store) => {
  const add = store.prepare(
    'INSERT INTO networks (name, number, cidr, outgoing, createdAt) VALUES (:name, :number, :cidr, :outgoing, :createdAt)',
  );
  const byName = store.prepare('SELECT * FROM networks WHERE name = ?');
  const all = store.prepare('SELECT * FROM networks ORDER BY rowid');
  const remove = store.prepare('DELETE FROM networks WHERE name = ?');
  const list = (): NetworkRecord[] => all.all().map(toRecord);
  const find = (name: string): NetworkRecord | undefined => {
    const row = byName.get(name);
    return row === undefined ? undefined : toRecord(row);
  };
  return {
    list,
    find,
    add({ name, cidr, outgoing, beside }: NewNetwork): NetworkRecord {
      if (find(name) !== undefined) throw new AppShotError('NETWORK_TAKEN', { name });
      const known = list();
      const taken = [...beside, ...known.map(rangeOf)];
      const wanted = cidr === undefined ? chooseNetwork(taken) : parseNetwork(cidr);
      const other = taken.find((one) => overlap(wanted, one));
      if (other !== undefined) {
        const reason = `${other.owner} has ${formatAddress(other.base)}/${other.prefix}`;
        throw new AppShotError('BAD_NETWORK', { network: wanted.cidr, reason });
      }
      const number = freeNumber(known);
      const record = { name, number, cidr: wanted.cidr, outgoing, createdAt: new Date().toISOString() };
      add.run({ ...record, outgoing: outgoing ? 1 : 0 });
      return record;
    },
    remove: (name: string): boolean => remove.run(name).changes > 0,
  };
};
