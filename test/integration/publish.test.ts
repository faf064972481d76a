/** Published ports on a machine of network namespaces: real servers and clients, the kernel's own tables. Needs root. */
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { run } from '../../src/exec/index.ts';
import * as kernel from '../../src/kernel/index.ts';
import { Publisher } from '../../src/network/publish.ts';
import type { PublishedPort } from '../../src/network/publish-rules.ts';
import { portInUse } from '../../src/network/publish-use.ts';
import { eventually } from '../support/eventually.ts';
import { ask, at, echoes, tcp, udp } from '../support/publish-client.ts';
import {
  BRIDGED,
  MACHINE,
  OUTSIDE,
  PublishLab,
  SIDES,
  knows,
  setting,
  udpSocket,
} from '../support/publish-lab.ts';
import type { Instance } from '../support/publish-lab.ts';

const GATEWAY = '10.99.0.1';

let lab: PublishLab;
let [a, b, c, other]: Instance[] = [];
let publisher: Publisher;

const publish = (...ports: PublishedPort[]): void => publisher.replace(ports, SIDES);

beforeAll(async () => {
  lab = await PublishLab.make();
  if (knows(lab.machine, BRIDGED)) setting(lab.machine, BRIDGED, 0);
  [a, b, c] = [
    await lab.instance('10.99.0.2'),
    await lab.instance('10.99.0.3'),
    await lab.instance('10.99.0.4'),
  ];
  other = await lab.instance('10.98.0.2');
});

afterAll(async () => {
  await lab[Symbol.asyncDispose]();
});

beforeEach(() => {
  publisher = lab.publisher();
});

afterEach(() => {
  publisher.dispose();
  if (knows(lab.machine, BRIDGED)) setting(lab.machine, BRIDGED, 0);
});

test('the kernel here can publish ports, and the look leaves nothing', () => {
  expect(kernel.withNetworkNamespace(lab.machine.fd, () => Publisher.obstacle())).toBeUndefined();
  const left = kernel.withNetworkNamespace(lab.machine.fd, () => {
    using nft = new kernel.Nftables();
    return nft.run([{ list: { tables: null } }]);
  });
  expect(left).toEqual([]);
});

describe('balancing', () => {
  test('each instance gets its share of new connections, and sees the client as it is', async () => {
    const [one, two, three] = at([a, b, c]);
    publish({ protocol: 'tcp', port: 8080, targets: [one!, two!, { ...three!, weight: 2 }] });
    const counts = new Map<string, number>();
    for (let turn = 0; turn < 40; turn++) {
      const { socket, seen } = await lab.greet(lab.outside, MACHINE, 8080);
      expect(seen).toMatchObject({ address: OUTSIDE, port: socket.localPort });
      counts.set(seen.instance, (counts.get(seen.instance) ?? 0) + 1);
      socket.destroy();
    }
    expect(Object.fromEntries(counts)).toEqual({ '10.99.0.2': 10, '10.99.0.3': 10, '10.99.0.4': 20 });
  });

  test('targets may have different ports, and instances of several networks share one', async () => {
    lab.listen(b!, 81, 'second port');
    publish({ protocol: 'tcp', port: 8080, targets: [{ address: '10.99.0.3', port: 81 }, ...at([other])] });
    const seen = [await lab.greetOnce(lab.outside, MACHINE), await lab.greetOnce(lab.outside, MACHINE)];
    expect(seen.map(({ instance }) => instance).toSorted()).toEqual(['10.98.0.2', 'second port']);
  });

  test('the same address and port is published once for TCP, once for UDP, and once for one address alone', async () => {
    publish(tcp(a), udp(b), { ...tcp(c), address: '127.0.0.1' });
    expect((await lab.greetOnce(lab.outside, MACHINE)).instance).toBe('10.99.0.2');
    expect((await lab.greetOnce(lab.machine, '127.0.0.1')).instance).toBe('10.99.0.4');
    const socket = await udpSocket(lab.outside);
    expect((await ask(socket, MACHINE)).instance).toBe('10.99.0.3');
    socket.close();
    expect(() => publish(tcp(a), tcp(b))).toThrow(RangeError);
  });
});

describe.each([0, 1])('clients, with bridged packets passing the rules of IP: %i', (bridged) => {
  beforeEach((context) => {
    if (knows(lab.machine, BRIDGED)) setting(lab.machine, BRIDGED, bridged);
    else if (bridged === 1) context.skip();
  });

  test("on this machine: by its loopback, its own and the bridge's addresses", async () => {
    publish(tcp(a), udp(a));
    for (const [address, seenAs] of [
      ['127.0.0.1', GATEWAY],
      ['127.9.9.9', GATEWAY],
      [MACHINE, MACHINE],
      [GATEWAY, GATEWAY],
    ] as const) {
      expect(await lab.greetOnce(lab.machine, address)).toMatchObject({
        instance: '10.99.0.2',
        address: seenAs,
      });
      const socket = await udpSocket(lab.machine);
      expect(await ask(socket, address)).toMatchObject({ instance: '10.99.0.2', address: seenAs });
      socket.close();
    }
  });

  test('in an application: of the same network, of another, and the target itself', async () => {
    publish(tcp(a), udp(a));
    for (const [place, seenAs] of [
      [b, GATEWAY],
      [a, GATEWAY],
      [other, '10.98.0.2'],
    ] as const) {
      for (const address of [MACHINE, place === other ? '10.98.0.1' : GATEWAY]) {
        const { socket, seen } = await lab.greet(place!, address, 8080);
        expect(seen.instance).toBe('10.99.0.2');
        expect(seen.address).toBe(seenAs);
        await echoes(socket, 'x'.repeat(300_000));
        socket.destroy();
        const datagrams = await udpSocket(place!);
        expect((await ask(datagrams, address)).instance).toBe('10.99.0.2');
        datagrams.close();
      }
    }
  });

  test('are held until the target is there', async () => {
    const address = `10.99.0.${40 + bridged}`;
    const sleeper = await lab.instance(address, { attached: false });
    publish(tcp(sleeper), udp(sleeper));
    const held = [lab.outside, lab.machine, b!].map((place) => lab.greet(place, MACHINE, 8080));
    const socket = await udpSocket(b!);
    const datagram = ask(socket, MACHINE);
    await eventually(() => expect(publisher.translations().length).toBeGreaterThanOrEqual(2));
    lab.attach(sleeper);
    for (const { socket: client, seen } of await Promise.all(held)) {
      expect(seen.instance).toBe(address);
      client.destroy();
    }
    expect((await datagram).instance).toBe(address);
    socket.close();
  });

  test('applications go on reaching each other directly', async () => {
    publish(tcp(a));
    expect(await lab.greetOnce(b!, '10.99.0.2', 80)).toMatchObject({
      instance: '10.99.0.2',
      address: '10.99.0.3',
    });
  });
});

describe('a port without a target', () => {
  test('refuses as a closed one does, also where a program listens', async () => {
    const server = lab.listen(lab.machine, 8080, 'the machine');
    publish(tcp(), udp(), { ...tcp(), port: 8081 });
    for (const [place, address] of [
      [lab.outside, MACHINE],
      [lab.machine, '127.0.0.1'],
      [lab.machine, MACHINE],
      // One that has had no redirects: the kernel counts them when it limits what it says to a neighbour.
      [c!, GATEWAY],
    ] as const) {
      for (const port of [8080, 8081])
        await expect(place.namespace.connect(address, port)).rejects.toMatchObject({ code: 'ECONNREFUSED' });
      const socket = await udpSocket(place);
      const connected = once(socket, 'connect');
      kernel.withNetworkNamespace(place.fd, () => socket.connect(8080, address));
      await connected;
      const refused = once(socket, 'error', { signal: AbortSignal.timeout(3000) });
      socket.send('who');
      expect((await refused)[0]).toMatchObject({ code: 'ECONNREFUSED' });
      socket.close();
    }
    server.close();
  });
});

describe('safety', () => {
  test("an application does not reach what listens on this machine's loopback alone", async () => {
    const secret = lab.listen(lab.machine, 9000, 'secret');
    publish(tcp(a));
    const { name } = c!.namespace;
    setting(c!, 'net.ipv4.conf.all.route_localnet', 1);
    await run('ip', ['-n', name, 'address', 'delete', '127.0.0.1/8', 'dev', 'lo']);
    await run('ip', ['-n', name, 'route', 'add', '127.0.0.1', 'via', GATEWAY, 'src', '10.99.0.4']);
    const attempt = lab.greet(c!, '127.0.0.1', 9000).then(({ seen }) => seen.instance);
    expect(await Promise.race([attempt.catch(() => 'refused'), pause(1500, 'silence')])).toBe('silence');
    secret.close();
  });

  test('the bridges route no loopback address any more when nothing is published', async () => {
    const routed = (bridge: string): string =>
      kernel.withNetworkNamespace(lab.machine.fd, () =>
        readFileSync(`/proc/sys/net/ipv4/conf/${bridge}/route_localnet`, 'utf8').trim(),
      );
    publish(tcp(a));
    expect([routed('br0'), routed('br1')]).toEqual(['1', '1']);
    publisher.replace([tcp(a)], SIDES.slice(0, 1));
    expect([routed('br0'), routed('br1')]).toEqual(['1', '0']);
    publisher.dispose();
    expect([routed('br0'), routed('br1')]).toEqual(['0', '0']);
    publisher = lab.publisher();
    publish(tcp(a));
    // As one that is killed; the next finds out which bridges it had.
    publisher.close();
    publisher = lab.publisher();
    expect([routed('br0'), routed('br1')]).toEqual(['1', '1']);
    publisher.replace([tcp(a)], SIDES.slice(0, 1));
    expect([routed('br0'), routed('br1')]).toEqual(['1', '0']);
    publisher.close();
    publisher = lab.publisher();
    publisher.replace([], []);
    expect([routed('br0'), routed('br1')]).toEqual(['0', '0']);
  });

  test('a port that a program has is named', async () => {
    const here = <T>(visit: () => T): T => kernel.withNetworkNamespace(lab.machine.fd, visit);
    const bound = await udpSocket(lab.machine, 5300, '127.0.0.1');
    const server = lab.listen(lab.machine, 5301, 'taken');
    expect(here(() => portInUse('udp', undefined, 5300))).toBe('127.0.0.1:5300');
    expect(here(() => portInUse('udp', '127.0.0.1', 5300))).toBe('127.0.0.1:5300');
    expect(here(() => portInUse('udp', MACHINE, 5300))).toBeUndefined();
    expect(here(() => portInUse('tcp', undefined, 5300))).toBeUndefined();
    expect(here(() => portInUse('tcp', MACHINE, 5301))).toBe(':::5301');
    bound.close();
    server.close();
  });
});
