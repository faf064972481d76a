/** Signals, such as those of children that end, must not make the firewall seem to refuse. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { start } from '../../src/exec/index.ts';
import { Nftables, close, openFd, withNetworkNamespace } from '../../src/kernel/index.ts';
import { createLab } from '../support/lab.ts';
import type { Lab } from '../support/lab.ts';

const FLOOD = 'i=0; while [ $i -lt 5000 ]; do kill -CHLD "$1"; i=$((i+1)); done';
const table = { family: 'inet', name: 'signals' };
const set = { family: 'inet', table: 'signals', name: 'addresses', type: 'ipv4_addr' };

let lab: Lab;

beforeAll(async () => {
  lab = await createLab();
});

afterAll(async () => {
  await lab[Symbol.asyncDispose]();
});

test('rules are set while signals come in thousands', async () => {
  const namespace = openFd(`/run/netns/${lab.name}`);
  const nft = withNetworkNamespace(namespace, () => new Nftables());
  const run = (commands: readonly Record<string, unknown>[]): unknown =>
    withNetworkNamespace(namespace, () => nft.run(commands));
  run([{ add: { table } }, { add: { set } }]);
  const floods = await Promise.all(
    Array.from({ length: 4 }, () => start('sh', ['-c', FLOOD, 'flood', String(process.pid)])),
  );
  const ended = new Set<number>();
  for (const { pid, exited } of floods) void exited.then(() => ended.add(pid));
  let runs = 0;
  const { family, table: name } = set;
  while (ended.size < floods.length || runs < 100) {
    runs += 1;
    const elem = [`10.1.${runs % 250}.${Math.floor(runs / 250) % 250}`];
    run([{ add: { element: { family, table: name, name: set.name, elem } } }]);
    await new Promise((resolve) => setImmediate(resolve));
  }
  nft.close();
  close(namespace);
  expect(runs).toBeGreaterThanOrEqual(100);
});
