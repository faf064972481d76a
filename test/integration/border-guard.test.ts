/** What an application that is root inside, with raw sockets, can send: its own packets and no other. Seen by its neighbours. */
import { once } from 'node:events';
import { createServer } from 'node:net';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import * as kernel from '../../src/kernel/index.ts';
import { macOf } from '../../src/network/bridge.ts';
import type { Network } from '../../src/network/network.ts';
import { PortGuard } from '../../src/network/port-guard.ts';
import { PREFIX, datagrams, makeMachine } from '../support/border-lab.ts';
import type { Machine, Resident } from '../support/border-lab.ts';
import { eventually } from '../support/eventually.ts';
import { BROADCAST, arp, ethernet, ping, pingMark, udp } from '../support/frames.ts';
import type { ArpEnd } from '../support/frames.ts';
import { openWire } from '../support/wire.ts';
import type { Wire } from '../support/wire.ts';

const TABLE = 'appshot_p';
const NOBODY = '00:00:00:00:00:00';
const IPV4 = 0x0800;
const ARP = 0x0806;

const [GATEWAY, EVERYBODY] = ['10.20.0.1', '255.255.255.255'];
const [OWN, NEIGHBOUR] = ['10.20.0.2', '10.20.0.3'];
const [OWN_MAC, NEIGHBOUR_MAC, GATEWAY_MAC] = [macOf(OWN), macOf(NEIGHBOUR), macOf(GATEWAY)];
const own = { mac: OWN_MAC, address: OWN };
const nobody = { mac: NOBODY, address: '0.0.0.0' };

let machine: Machine;
let network: Network;
let one: Resident;
let other: Resident;
let guard: PortGuard;
/** The interface inside the first application, that of the second, and the machine's side of the bridge. */
let inside: Wire;
let ears: Wire[];

const guarded = (): PortGuard => machine.visit(() => new PortGuard(TABLE, PREFIX));
const join = (app: Resident): void => {
  machine.visit(() => guard.bind(app.interface, app));
  machine.visit(() => network.connect(app.address, app.port));
};

beforeAll(async () => {
  machine = await makeMachine('g');
  network = machine.network('guard', '10.20.0.0/16');
  one = await machine.application(network, '10.20.0.2');
  other = await machine.application(network, '10.20.0.3');
  guard = guarded();
  for (const app of [one, other]) join(app);
  inside = await openWire(one.namespace, 'eth0');
  ears = [
    await openWire(other.namespace, 'eth0'),
    await openWire(machine.namespace, network.bridge.names.bridge),
    await openWire(machine.namespace, network.bridge.names.far),
  ];
});

afterAll(async () => {
  for (const wire of [inside, ...ears]) await wire[Symbol.asyncDispose]();
  await machine[Symbol.asyncDispose]();
});

let made = 0;
/** Digits that no other frame holds. */
const newMark = (): string => `a11ce${(made += 1).toString(16).padStart(11, '0')}`;

/** A frame that holds a mark. */
type Marked = (mark: string) => string;

/** Everything in it but its source is right. */
const from =
  (mac: string, address: string): Marked =>
  (mark) =>
    ethernet(BROADCAST, mac, IPV4, udp(address, EVERYBODY, mark));

/** The mark follows on what the frame means. br_netfilter would cut it from IPv4. */
const trailing =
  (type: number, body: string, mac = OWN_MAC, to = BROADCAST): Marked =>
  (mark) =>
    ethernet(to, mac, type, body) + mark;

/** Sends each of the frames, then one of its own; tells which of the marks were heard by anybody. */
const heardOf = async (frames: readonly Marked[], marks = frames.map(newMark)): Promise<number[]> => {
  const end = newMark();
  inside.send(...frames.map((frame, index) => frame(marks[index] ?? '')), from(OWN_MAC, OWN)(end));
  const heard = (await Promise.all(ears.map((ear) => ear.hear(end)))).flat().join();
  return marks.flatMap((mark, index) => (heard.includes(mark) ? [index] : []));
};

const ask = (sender: ArpEnd, address = GATEWAY): Marked =>
  trailing(ARP, arp('request', sender, { mac: NOBODY, address }));
const answer = (sender: ArpEnd): Marked =>
  trailing(ARP, arp('reply', sender, { mac: BROADCAST, address: NEIGHBOUR }));
const packet = udp(OWN, EVERYBODY, '');

const FORGED: readonly (readonly [string, Marked])[] = [
  ["IPv4 from a neighbour's address", from(OWN_MAC, NEIGHBOUR)],
  ["IPv4 from the gateway's address", from(OWN_MAC, GATEWAY)],
  ["IPv4 from nobody's address", from(OWN_MAC, '10.20.9.9')],
  ['IPv4 from outside', from(OWN_MAC, '198.51.100.7')],
  ['IPv4 from 0.0.0.0', from(OWN_MAC, '0.0.0.0')],
  ['IPv4 from loopback', from(OWN_MAC, '127.0.0.1')],
  ['IPv4 from everybody', from(OWN_MAC, '255.255.255.255')],
  ["its address from a neighbour's hardware address", from(NEIGHBOUR_MAC, OWN)],
  ["its address from the gateway's hardware address", from(GATEWAY_MAC, OWN)],
  ['its address from a hardware address of its own making', from('02:00:00:00:00:01', OWN)],
  ['a neighbour altogether', from(NEIGHBOUR_MAC, NEIGHBOUR)],
  ['IP in IP in a frame that calls it something else', trailing(0x8864, packet)],
  ['an ARP question as the gateway', ask({ mac: OWN_MAC, address: GATEWAY })],
  ['an ARP question as a neighbour', ask({ mac: OWN_MAC, address: NEIGHBOUR })],
  ["an ARP question with a neighbour's hardware address", ask({ mac: NEIGHBOUR_MAC, address: OWN })],
  ["a probe with a neighbour's hardware address", ask({ ...nobody, mac: NEIGHBOUR_MAC })],
  ['an ARP announcement of the gateway', ask({ mac: OWN_MAC, address: GATEWAY }, GATEWAY)],
  ['an ARP answer as the gateway', answer({ mac: OWN_MAC, address: GATEWAY })],
  ['an ARP answer as a neighbour', answer({ mac: NEIGHBOUR_MAC, address: NEIGHBOUR })],
  ['an ARP answer that moves its address', answer({ mac: NEIGHBOUR_MAC, address: OWN })],
  ['ARP from another Ethernet source', trailing(ARP, arp('request', own, nobody), NEIGHBOUR_MAC)],
  ['ARP for other hardware', trailing(ARP, arp('request', own, nobody, '000608000604'))],
  ['ARP with longer addresses', trailing(ARP, arp('request', own, nobody, '000108000804'))],
  ['RARP', trailing(0x8035, arp('request', own, own))],
  [
    'IPv6',
    (mark) => ethernet(BROADCAST, OWN_MAC, 0x86dd, `6000000000083aff${'fe80'.padEnd(64, '0')}${mark}`),
  ],
  ['a VLAN tag', trailing(0x8100, `00050800${packet}`)],
  ['two VLAN tags', trailing(0x88a8, `0005810000060800${packet}`)],
  ['spanning tree', trailing(0x0026, '424203000000', OWN_MAC, '01:80:c2:00:00:00')],
  ['a protocol nobody knows', trailing(0x88b5, '00')],
];

describe.each([true, false])('raw frames, with br_netfilter %s', (on) => {
  beforeAll(() => machine.setBridgeFilter(on));

  test('the forged ones reach nobody, among them every kind', async () => {
    const heard = await heardOf(FORGED.map(([, frame]) => frame));
    expect(heard.map((index) => FORGED[index]?.[0])).toEqual([]);
  });

  test('the same frames are all heard where nothing guards', async () => {
    machine.visit(() => guard.dispose());
    const heard = await heardOf(FORGED.map(([, frame]) => frame)).finally(() => {
      guard = guarded();
      machine.visit(() => guard.bindAll([one, other]));
    });
    expect(FORGED.filter((_, index) => !heard.includes(index)).map(([name]) => name)).toEqual([]);
  });

  test('what is its own passes, and so do ARP questions, answers, announcements and probes', async () => {
    const frames = [
      from(OWN_MAC, OWN),
      (mark: string) => ethernet(BROADCAST, OWN_MAC, IPV4, udp(OWN, '224.0.0.251', mark)),
      ask(own),
      ask(own, OWN),
      ask({ ...nobody, mac: OWN_MAC }, OWN),
      answer(own),
    ];
    expect(await heardOf(frames)).toEqual(frames.map((_, index) => index));
  });

  test('frames to the groups that bridges keep for themselves do not get around the rules', async () => {
    inside.send(
      ethernet('01:80:c2:00:00:03', OWN_MAC, IPV4, ping(OWN, GATEWAY, 1)),
      ethernet(GATEWAY_MAC, OWN_MAC, IPV4, ping(OWN, GATEWAY, 2)),
    );
    const heard = await inside.hear(pingMark(2));
    expect(heard.filter((frame) => frame.includes(pingMark(1)))).toEqual([]);
  });
});

describe('its own kernel', () => {
  const greeter = createServer((socket) => socket.end('hello'));
  beforeAll(() => void other.visit(() => greeter.listen(7000)));
  afterAll(() => void greeter.close());

  const reaches = async (): Promise<string> => {
    const client = await one.namespace.connect(other.address, 7000);
    return String((await once(client, 'data'))[0]);
  };

  /** Sends a datagram from a socket of its own; tells whether it was heard before one that is allowed. */
  const isHeard = async (address?: string, allow?: () => void): Promise<boolean> => {
    const [mark, end] = [newMark(), newMark()];
    for (const [text, source] of [
      [mark, address],
      [end, undefined],
    ] as const) {
      const socket = await datagrams(one, source);
      await promisify<string, number, string>(socket.send.bind(socket))(text, 9, other.address);
      socket.close();
      allow?.();
    }
    const heard = (await ears[0]?.hear(Buffer.from(end).toString('hex'))) ?? [];
    return heard.some((frame) => frame.includes(Buffer.from(mark).toString('hex')));
  };

  test('reaches others from its address', async () => {
    expect(await reaches()).toBe('hello');
    expect(await isHeard()).toBe(true);
  });

  test('an address that it adds is of no use', async () => {
    kernel.addAddress(one.netlink, one.port.innerLink, { address: '10.20.7.7', prefix: 32 });
    expect(await isHeard('10.20.7.7')).toBe(false);
    expect(await reaches()).toBe('hello');
  });

  test('a hardware address that it changes is of no use', async () => {
    const change = (mac: string): void => kernel.setLink(one.netlink, one.port.innerLink, { mac });
    change('02:00:00:00:00:77');
    expect(await isHeard(undefined, () => change(one.mac))).toBe(false);
    expect(await reaches()).toBe('hello');
  });
});

describe('binding', () => {
  const heard = (): Promise<number[]> => heardOf([from(OWN_MAC, OWN)]);

  test('an interface that is bound to nothing is mute, also among the ports of a bridge', async () => {
    const third = await machine.application(network, '10.20.0.4');
    machine.visit(() => network.connect(third.address, third.port));
    await using wire = await openWire(third.namespace, 'eth0');
    const frame = from(third.mac, third.address);
    const marks = [newMark(), newMark(), newMark()];
    /** Settles when the frame has left: the guard has then decided. */
    const send = async (mark: string | undefined): Promise<void> => {
      const sent = (): number => kernel.linkByName(third.netlink, 'eth0')?.txPackets ?? 0;
      const before = sent();
      wire.send(frame(mark ?? ''));
      await eventually(() => expect(sent()).toBeGreaterThan(before));
    };
    await send(marks[0]);
    machine.visit(() => guard.bind(third.interface, third));
    await send(marks[1]);
    machine.visit(() => guard.unbind(third.interface));
    await send(marks[2]);
    expect(await heardOf([], marks)).toEqual([1]);
  });

  test('another address takes the place of the former', async () => {
    const moved = { ...one, address: '10.20.0.77' };
    machine.visit(() => guard.bind(one.interface, moved));
    // What ends `heardOf` is from the former address: it is bound again before that is sent.
    machine.visit(() => guard.bind(one.interface, one));
    expect(await heard()).toEqual([0]);
    expect(await heardOf([from(OWN_MAC, moved.address)])).toEqual([]);
  });

  test('outlives its daemon: the next takes it over, with the interfaces that are still there', async () => {
    machine.visit(() => guard.bind('asvgone', { address: '10.20.0.9', mac: macOf('10.20.0.9') }));
    guard = guarded();
    expect(await heard()).toEqual([0]);
    machine.visit(() => {
      using nft = new kernel.Nftables();
      const set = { family: 'bridge', table: TABLE, name: 'identities' };
      const listed = JSON.stringify(nft.run([{ list: { set } }]));
      expect(listed).toContain(one.interface);
      expect(listed).not.toContain('asvgone');
    });
    // It goes on from there.
    machine.visit(() => guard.unbind(one.interface));
    machine.visit(() => guard.bind(one.interface, { ...one, address: '10.20.0.77' }));
    machine.visit(() => guard.bind(one.interface, one));
    expect(await heard()).toEqual([0]);
  });
});

test('a kernel that can is told apart, and nothing stays of the trial', () => {
  machine.visit(() => {
    expect(PortGuard.obstacle()).toBeUndefined();
    using nft = new kernel.Nftables();
    expect(JSON.stringify(nft.run([{ list: { tables: null } }]))).not.toContain('probe');
  });
});
