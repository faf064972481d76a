/** Who is answered by name servers: a network's own applications and this machine, and no other machine that has a way there. */
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { connect } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Client } from '../../src/api/client.ts';
import * as kernel from '../../src/kernel/index.ts';
import { createLab } from '../support/lab.ts';
import type { Lab } from '../support/lab.ts';
import { frame } from '../../src/names/framing.ts';
import { question } from '../unit/names-client.ts';

const [MACHINE, OTHER, OPEN] = ['192.0.2.1', '192.0.2.2', '10.70.0.1'];
const GATEWAYS = ['10.10.0.1', OPEN];
/** Longer than anything here takes that is answered. */
const SILENCE_MS = 1500;
const DNS = 53;

let lab: Lab;
/** Another machine, with a route to all networks of the first. */
let other: Lab;
let border: string;

const within = <T>({ namespace }: Lab, visit: () => T): T => {
  const fd = kernel.openFd(namespace.path);
  try {
    return kernel.withNetworkNamespace(fd, visit);
  } finally {
    kernel.close(fd);
  }
};

beforeAll(async () => {
  lab = await createLab();
  other = await createLab();
  await lab.exec('ip', ['link', 'add', 'out0', 'type', 'veth', 'peer', 'eth0', 'netns', other.name]);
  await lab.exec('ip', ['address', 'add', `${MACHINE}/24`, 'dev', 'out0']);
  await lab.exec('ip', ['link', 'set', 'out0', 'up']);
  await other.exec('ip', ['address', 'add', `${OTHER}/24`, 'dev', 'eth0']);
  await other.exec('ip', ['link', 'set', 'eth0', 'up']);
  await other.exec('ip', ['route', 'add', '10.0.0.0/8', 'via', MACHINE]);
  await lab.daemon();
  const client = new Client(lab.runDirectory);
  const { bridge } = await client.createNetwork({ name: 'open', cidr: '10.70.0.0/16', outgoing: true });
  border = `appshot_${bridge.slice(3, 9)}_border`;
});

afterAll(async () => {
  await other[Symbol.asyncDispose]();
  await lab[Symbol.asyncDispose]();
});

const byUdp = async (from: Lab, gateway: string, address = '0.0.0.0'): Promise<string> => {
  const socket = createSocket({
    type: 'udp4',
    lookup: (host, _options, answer) => within(from, () => answer(null, host, 4)),
  });
  const listening = once(socket, 'listening');
  socket.bind(0, address);
  await listening;
  const reply = once(socket, 'message', { signal: AbortSignal.timeout(SILENCE_MS) });
  socket.send(question('x.appshot.internal'), DNS, gateway);
  return reply
    .then(
      () => 'answered',
      () => 'silence',
    )
    .finally(() => socket.close());
};

const byTcp = async (from: Lab, gateway: string, localAddress?: string): Promise<string> => {
  const where = from.namespace.inside(gateway, DNS);
  const socket = connect({ ...where, ...(localAddress === undefined ? {} : { localAddress }) });
  socket.on('error', () => undefined);
  socket.once('connect', () => socket.write(frame(question('x.appshot.internal'))));
  const heard = once(socket, 'data', { signal: AbortSignal.timeout(SILENCE_MS) }).then(
    () => 'answered',
    () => 'silence',
  );
  const ended = once(socket, 'close').then(() => 'silence');
  return Promise.race([heard, ended]).finally(() => socket.destroy());
};

/** By UDP and TCP, of each gateway. */
const asked = (from: Lab, address?: string): Promise<string[]> =>
  Promise.all(GATEWAYS.flatMap((gateway) => [byUdp(from, gateway, address), byTcp(from, gateway, address)]));

const ALL = ['answered', 'answered', 'answered', 'answered'];
const NONE = ALL.map(() => 'silence');

/** How many questions reached the sockets of name servers. */
const datagramsIn = async (): Promise<number> => {
  const { stdout } = await lab.exec('cat', ['/proc/net/snmp']);
  const [names, values] = stdout.split('\n').filter((line) => line.startsWith('Udp: ')) as [string, string];
  return Number(values.split(' ')[names.split(' ').indexOf('InDatagrams')]);
};

describe('the rules', () => {
  test('let this machine ask, by whichever of its addresses', async () => {
    for (const address of [undefined, MACHINE, '127.0.0.1']) expect(await asked(lab, address)).toEqual(ALL);
  });

  test('keep what another machine asks from the name servers', async () => {
    const before = await datagramsIn();
    expect(await asked(other)).toEqual(NONE);
    // Also in the name of an application.
    await other.exec('ip', ['address', 'add', '10.70.0.9/32', 'dev', 'lo']);
    expect(await asked(other, '10.70.0.9')).toEqual(NONE);
    expect(await datagramsIn()).toBe(before);
  });
});

describe('without rules', () => {
  beforeAll(() =>
    within(lab, () => {
      using nft = new kernel.Nftables();
      nft.run([{ delete: { table: { family: 'inet', name: border } } }]);
    }),
  );

  test('this machine is answered, by whichever of its addresses', async () => {
    for (const address of [undefined, MACHINE, '127.0.0.1']) expect(await asked(lab, address)).toEqual(ALL);
  });

  test('another machine is heard, and gets no reply', async () => {
    const before = await datagramsIn();
    expect(await asked(other)).toEqual(NONE);
    expect(await datagramsIn()).toBe(before + GATEWAYS.length);
  });
});
