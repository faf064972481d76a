/**
 * The borders of the networks: who reaches whom, beyond one bridge.
 *
 * Applications of one network reach each other; those of different networks only through published ports. From an application,
 * this machine answers at the gateway of the application's own network alone, and answers no other machine's questions for names. What leaves the machine leaves from a network that
 * may, with this machine's address. This machine's own processes reach everybody. `border-rules.ts` has the rules.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { Nftables } from '../kernel/index.ts';
import { replacement } from './border-expressions.ts';
import { borderTable } from './border-rules.ts';
import type { BorderedNetwork, WebPort } from './border-rules.ts';

const FORWARDING = '/proc/sys/net/ipv4/ip_forward';

/** Whether the calling thread's network namespace forwards nothing: then nothing leaves, and ports are published to itself alone. */
export const forwardingOff = (): boolean => readFileSync(FORWARDING, 'utf8').trim() === '0';

/** Lets the calling thread's network namespace forward packets. */
export const forward = (): void => {
  if (forwardingOff()) writeFileSync(FORWARDING, '1');
};

export class Border {
  readonly #nft = new Nftables();
  readonly #table: string;

  /** Leaves what an earlier daemon made as it is, until `replace`. Works in the calling thread's network namespace. */
  constructor(table: string) {
    this.#table = table;
  }

  /**
   * These are all networks, and ports of the web gateway, from now on, in one transaction; connections that are open go on. The addresses of networks must not
   * overlap. Throws `KernelError`.
   */
  replace(networks: readonly BorderedNetwork[], web: readonly WebPort[] = []): void {
    this.#nft.run(replacement(borderTable(this.#table, networks, web)));
  }

  /** Removes the rules: what the machine forwards is no more limited by them. */
  dispose(): void {
    this.#nft.run([{ delete: { table: { family: 'inet', name: this.#table } } }]);
    this.#nft.close();
  }
}
