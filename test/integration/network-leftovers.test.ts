/** What is left of networks that could not be removed, or made, to the end: nothing, once the next daemon has begun. */
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { Client } from '../../src/api/client.ts';
import type { NetworkView } from '../../src/api/index.ts';
import * as kernel from '../../src/kernel/index.ts';
import type { NetworkPlan } from '../../src/network/index.ts';
import { createLab } from '../support/lab.ts';
import type { Lab } from '../support/lab.ts';

const root = join(import.meta.dirname, '../..');
const NODE = join(root, 'scripts/node.sh');
const FIXTURE = join(root, 'test/fixtures/networks.ts');

let lab: Lab;

beforeEach(async () => {
  lab = await createLab();
});

afterEach(async () => {
  await lab[Symbol.asyncDispose]();
});

/** What the lab's machine has of networks: links, tables and routes that refuse. */
const present = async (): Promise<string[]> => {
  const fd = kernel.openFd(lab.namespace.path);
  const listed = kernel.withNetworkNamespace(fd, () => {
    using nft = new kernel.Nftables();
    using netlink = kernel.NetlinkSocket.open();
    const tables = nft.run([{ list: { tables: null } }]).flatMap((one) => {
      const table = one['table'] as { family: string; name: string } | undefined;
      return table ? [`table ${table.family} ${table.name}`] : [];
    });
    // Those of environments that are made in advance come and go.
    const links = kernel
      .listLinks(netlink)
      .flatMap(({ name }) => (name.startsWith('asv') ? [] : `link ${name}`));
    const routes = kernel
      .listRoutes(netlink)
      .filter(({ type }) => type === 'unreachable')
      .map(({ destination, prefix }) => `route ${destination}/${prefix}`);
    return [...links, ...tables, ...routes];
  });
  kernel.close(fd);
  return listed.toSorted();
};

const addressesOf = async ({ bridge }: NetworkView): Promise<string[]> => {
  const { stdout } = await lab.exec('ip', ['-json', '-4', 'address', 'show', 'dev', bridge]);
  const [{ addr_info: all } = { addr_info: [] }] = JSON.parse(stdout) as { addr_info: { local: string }[] }[];
  return all.map(({ local }) => local);
};

/** A daemon that ended right after it took a network off its list does this. */
const strike = (name: string): void => {
  const registry = new DatabaseSync(join(lab.dataDirectory, 'registry.db'));
  registry.prepare('DELETE FROM networks WHERE name = ?').run(name);
  registry.close();
};

test('of a network that a daemon was removing when it was killed', async () => {
  const first = await lab.daemon();
  const client = new Client(lab.runDirectory);
  const kept = await client.createNetwork({ name: 'kept', cidr: '10.201.0.0/16' });
  const without = await present();
  await client.createNetwork({ name: 'gone', cidr: '10.202.0.0/16' });
  expect(await present()).not.toEqual(without);
  await first.kill();
  strike('gone');
  const second = await lab.daemon();
  expect(await present()).toEqual(without);
  expect(await client.networks()).toMatchObject([{ name: 'default' }, kept]);

  // The bridge has its number, and another network's address.
  const before = await client.createNetwork({ name: 'gone', cidr: '10.202.0.0/16' });
  await second.kill();
  strike('gone');
  await lab.daemon();
  const after = await client.createNetwork({ name: 'next', cidr: '10.203.0.0/16' });
  expect(after.bridge).toBe(before.bridge);
  expect(await addressesOf(after)).toEqual(['10.203.0.1']);
  expect(await addressesOf(kept)).toEqual(['10.201.0.1']);
  expect((await present()).filter((one) => one.startsWith('route'))).toEqual(
    ['10.10.0.0', '10.201.0.0', '10.203.0.0'].map((base) => `route ${base}/16`),
  );
});

const plan = (name: string, number: number, cidr: string): NetworkPlan => ({
  name,
  number,
  cidr,
  outgoing: false,
});

test('of a network whose borders, or whose bridge, cannot be made', async () => {
  const networks = await lab.talk(NODE, [
    FIXTURE,
    'left',
    JSON.stringify([plan('default', 0, '10.60.0.0/16')]),
  ]);
  await networks.hear(/^ready$/);
  const add = async (one: NetworkPlan): Promise<string> => {
    networks.tell(JSON.stringify(one));
    return (await networks.hear(/^(added|refused: .*)$/))[1] ?? '';
  };
  const without = await present();
  // Nobody sees any more that the addresses overlap, but the rules.
  await lab.exec('ip', ['address', 'flush', 'dev', 'asbleft']);
  expect(await add(plan('over', 1, '10.60.4.0/24'))).toMatch(
    /^refused: KernelError.*(conflict|overlap|exist)/i,
  );
  expect(await present()).toEqual(without);
  // The sentinel comes after the bridge.
  await lab.exec('ip', ['link', 'add', 'asfleft2', 'type', 'bridge']);
  expect(await add(plan('half', 2, '10.61.0.0/16'))).toMatch(/^refused: KernelError.*EEXIST/);
  await lab.exec('ip', ['link', 'delete', 'asfleft2']);
  expect(await present()).toEqual(without);
  // Names and numbers are free again.
  expect(await add(plan('over', 1, '10.62.0.0/16'))).toBe('added');
  await networks.close();
});
