/**
 * What is left of networks that are none any more: a daemon may end while it removes one, or makes one. Each of them has its number in the
 * names of its links, and a bridge is the first that is made and the last that goes, so the links tell what else there is.
 */
import { Nftables, isErrno, listLinks } from '../kernel/index.ts';
import type { NetlinkSocket } from '../kernel/index.ts';
import { namesOf, removeBridge } from './bridge.ts';

/** What the names of a network's links and table end with, behind the daemon's own characters. */
export const suffixOf = (number: number): string => (number === 0 ? '' : number.toString(36));

const removeTable = (name: string): void => {
  if (!Nftables.available()) return;
  using nft = new Nftables();
  try {
    nft.run([{ delete: { table: { family: 'inet', name } } }]);
  } catch (error) {
    if (!isErrno(error, 'ENOENT')) throw error;
  }
};

/**
 * Removes links, rules and routes of all further networks of this daemon but those with the numbers in `kept`, and returns the numbers as the names
 * have them. Works in the calling thread's network namespace, which must be that of `netlink`. Throws `KernelError`.
 */
export const removeLeftovers = (
  netlink: NetlinkSocket,
  instance: string,
  kept: readonly number[],
): string[] => {
  const wanted = new Set(kept.map(suffixOf));
  const pattern = new RegExp(`^as[bs]${instance}([1-9a-z][0-9a-z]*)$`);
  const suffixes = listLinks(netlink).map(({ name }) => pattern.exec(name)?.[1] ?? '');
  const left = [...new Set(suffixes)].filter((suffix) => suffix !== '' && !wanted.has(suffix));
  for (const suffix of left) {
    removeTable(`appshot_${instance}${suffix}`);
    removeBridge(netlink, namesOf(`${instance}${suffix}`));
  }
  return left;
};
