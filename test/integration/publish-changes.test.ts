/** What becomes of connections through published ports when instances come and go, and how the kernel records them. Needs root. */
import { once } from 'node:events';
import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { Publisher } from '../../src/network/publish.ts';
import type { PublishedPort } from '../../src/network/publish-rules.ts';
import { eventually } from '../support/eventually.ts';
import { ask, echoes, tcp, udp } from '../support/publish-client.ts';
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

let lab: PublishLab;
let [a, b, c]: Instance[] = [];
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
});

afterAll(async () => {
  await lab[Symbol.asyncDispose]();
});

beforeEach(() => {
  publisher = lab.publisher();
});

afterEach(() => {
  publisher.dispose();
});

describe('instances come and go', () => {
  test('an open connection stays with its instance, whatever becomes of the port', async () => {
    publish(tcp(a));
    const { socket, seen } = await lab.greet(lab.outside, MACHINE, 8080);
    const stages: readonly (() => void)[] = [
      () => publish(tcp(a, b, c)),
      () => publish(tcp(b)),
      () => publish(tcp()),
      () => publish(),
      () => publish(udp(b)),
    ];
    for (const stage of stages) {
      const transfer = echoes(socket, 'x'.repeat(2_000_000));
      stage();
      await transfer;
    }
    expect(seen.instance).toBe('10.99.0.2');
    expect(publisher.translations()).toMatchObject([{ second: { address: '10.99.0.2', port: 80 } }]);
    publish(tcp(c));
    expect((await lab.greetOnce(lab.outside, MACHINE)).instance).toBe('10.99.0.4');
    socket.destroy();
  });

  test('a new publisher takes the place of an earlier one under an open connection', async () => {
    publish(tcp(a), { ...tcp(b), port: 8081 });
    const { socket } = await lab.greet(lab.outside, MACHINE, 8080);
    const local = await lab.greet(lab.machine, '127.0.0.1', 8081);
    publisher.close();
    publisher = lab.publisher();
    for (const connection of [socket, local.socket]) await echoes(connection, 'before');
    publish(tcp(b));
    for (const connection of [socket, local.socket]) await echoes(connection, 'x'.repeat(2_000_000));
    expect((await lab.greetOnce(lab.outside, MACHINE)).instance).toBe('10.99.0.3');
    await expect(lab.outside.namespace.connect(MACHINE, 8081)).rejects.toMatchObject({
      code: 'ECONNREFUSED',
    });
    for (const connection of [socket, local.socket]) connection.destroy();
  });

  test('no connection is refused while targets are exchanged', async () => {
    publish(tcp(a));
    const exchanged = new AbortController();
    const asking = (async () => {
      const seen: string[] = [];
      while (!exchanged.signal.aborted) seen.push((await lab.greetOnce(lab.outside, MACHINE)).instance);
      return seen;
    })();
    for (let turn = 0; turn < 60; turn++) {
      publish([tcp(b), tcp(a, b, c), tcp(c), tcp(a)][turn % 4]!);
      await pause(2);
    }
    exchanged.abort();
    expect(new Set(await asking).size).toBe(3);
  });
});

describe('UDP', () => {
  test('a flow stays with its target while it is there, then moves on', async () => {
    publish(udp(a, b));
    const socket = await udpSocket(lab.outside);
    const first = await ask(socket, MACHINE);
    expect(first).toMatchObject({ address: OUTSIDE, port: socket.address().port });
    for (let turn = 0; turn < 5; turn++) expect((await ask(socket, MACHINE)).instance).toBe(first.instance);
    const [gone, left] = first.instance === '10.99.0.2' ? [a, b] : [b, a];
    publish(udp(left, c));
    expect((await ask(socket, MACHINE)).instance).not.toBe(gone?.address);
    socket.close();
  });

  test('who has been sending since before a port was published, or had a target, reaches it then', async () => {
    const [early, local] = [await udpSocket(lab.outside), await udpSocket(lab.machine)];
    const senders = [
      [early, MACHINE],
      [local, '127.0.0.1'],
    ] as const;
    const inVain = async (): Promise<void> => {
      for (const [socket, address] of senders)
        await expect(ask(socket, address, 300)).rejects.toMatchObject({ name: 'AbortError' });
    };
    await inVain();
    publish(udp());
    await inVain();
    publish(udp(a));
    for (const [socket, address] of senders) {
      expect((await ask(socket, address)).instance).toBe('10.99.0.2');
      socket.close();
    }
  });
});

describe('a target that is not there yet', () => {
  test('holds the connection until its address is', async () => {
    const sleeper = await lab.instance('10.99.0.9', { attached: false });
    publish(tcp(sleeper), udp(sleeper));
    const socket = await udpSocket(lab.outside);
    const waiting = [
      lab.greet(lab.outside, MACHINE, 8080),
      lab.greet(lab.machine, '127.0.0.1', 8080),
      lab.greet(b!, MACHINE, 8080),
    ];
    const datagram = ask(socket, MACHINE);
    await eventually(() => expect(publisher.translations()).toHaveLength(4));
    for (const { protocol, state } of publisher.translations())
      expect(state).toBe(protocol === 'udp' ? 'udp' : 'SYN_SENT');
    lab.attach(sleeper);
    for (const { socket: client, seen } of await Promise.all(waiting)) {
      expect(seen.instance).toBe('10.99.0.9');
      client.destroy();
    }
    expect((await datagram).instance).toBe('10.99.0.9');
    socket.close();
  });

  test('a connection that is held goes to another when the target is taken away', async () => {
    publish({ protocol: 'tcp', port: 8080, targets: [{ address: '10.99.0.99', port: 80 }] });
    const waiting = lab.greet(lab.outside, MACHINE, 8080);
    await eventually(() => expect(publisher.translations()).toHaveLength(1));
    publish(tcp(c));
    const { socket, seen } = await waiting;
    expect(seen.instance).toBe('10.99.0.4');
    socket.destroy();
  });
});

describe('translations', () => {
  test('are what the sockets on both ends say', async () => {
    publish(tcp(a));
    const places = [
      [lab.outside, MACHINE],
      [lab.machine, '127.0.0.1'],
      [b!, MACHINE],
    ] as const;
    const open = [];
    for (const [place, address] of places) open.push(await lab.greet(place, address, 8080));
    const listed = publisher.translations();
    expect(listed).toHaveLength(3);
    for (const [index, { socket, seen }] of open.entries())
      expect(listed).toContainEqual({
        protocol: 'tcp',
        client: { address: socket.localAddress, port: socket.localPort },
        first: { address: places[index]?.[1], port: 8080 },
        second: { address: '10.99.0.2', port: 80 },
        seen: { address: seen.address, port: seen.port },
        state: 'ESTABLISHED',
        timeout: expect.any(Number) as number,
      });
    const closed = open.map(({ socket }) => once(socket, 'close'));
    for (const { socket } of open) socket.end();
    await Promise.all(closed);
    expect(publisher.translations().map(({ state }) => state)).not.toContain('ESTABLISHED');
  });

  test('leave out connections that are not published, and those of another publisher', async () => {
    const second = lab.publisher('appshot_other');
    publish(tcp(a));
    second.replace([{ ...tcp(b), port: 8081 }], SIDES);
    const direct = await lab.greet(lab.machine, '10.99.0.2', 80);
    const mine = await lab.greet(lab.outside, MACHINE, 8080);
    const theirs = await lab.greet(lab.outside, MACHINE, 8081);
    const firstPorts = (one: Publisher): number[] =>
      one.translations().flatMap(({ state, first }) => (state === 'ESTABLISHED' ? [first.port] : []));
    expect(firstPorts(publisher)).toEqual([8080]);
    expect(firstPorts(second)).toEqual([8081]);
    for (const { socket } of [direct, mine, theirs]) socket.destroy();
    second.dispose();
  });

  test('tell when they began where the kernel records it', async () => {
    setting(lab.machine, 'net.netfilter.nf_conntrack_timestamp', 1);
    publish(tcp(a));
    const { socket } = await lab.greet(lab.outside, MACHINE, 8080);
    const since = publisher.translations().find(({ client }) => client.port === socket.localPort)?.since ?? 0;
    expect(Math.abs(Date.now() - since)).toBeLessThan(5000);
    setting(lab.machine, 'net.netfilter.nf_conntrack_timestamp', 0);
    socket.destroy();
  });
});
