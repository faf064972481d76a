/** Who reaches whom on a machine with several networks, with real packets between namespaces (patent, figure 1). */
import { once } from 'node:events';
import { createServer } from 'node:net';
import type { Server, Socket } from 'node:net';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import * as kernel from '../../src/kernel/index.ts';
import { macOf } from '../../src/network/bridge.ts';
import { Border, forwardingOff } from '../../src/network/border.ts';
import type { Reachability } from '../../src/network/index.ts';
import type { Network } from '../../src/network/network.ts';
import { PortGuard } from '../../src/network/port-guard.ts';
import { PREFIX, datagrams, makeMachine } from '../support/border-lab.ts';
import type { Machine, Place, Resident } from '../support/border-lab.ts';
import { ethernet, ping, pingMark, tcp } from '../support/frames.ts';
import { openWire } from '../support/wire.ts';

const [PORT, DNS, PUBLISHED] = [7000, 53, 8080];
/** Longer than anything here takes that is answered, and shorter than a kernel's second try, after a second. */
const AT_ONCE_MS = 800;
const [MACHINE_OUTSIDE, OUTSIDER] = ['192.0.2.1', '192.0.2.9'];
const [SYN, SYN_ACK, RESET_ACK] = [0x02, '12', '14'];
const ROUNDS = 20;

let machine: Machine;
/** Its applications stay among themselves. */
let closed: Network;
/** Its applications may reach the outside. */
let open: Network;
let one: Resident;
let other: Resident;
let foreign: Resident;
let outsider: Place;
let guard: PortGuard;
let border: Border;
const servers: Server[] = [];

const plan = (outgoing: boolean) => [
  { name: 'closed', bridge: closed.bridge.names.bridge, cidr: closed.bridge.cidr.cidr, outgoing: false },
  { name: 'open', bridge: open.bridge.names.bridge, cidr: open.bridge.cidr.cidr, outgoing },
];
const replace = (outgoing = true): void => machine.visit(() => border.replace(plan(outgoing)));

/** Answers each connection with the address that it came from, and stays. */
const serve = async (place: Place, port: number): Promise<void> => {
  const server = createServer((socket) => {
    socket.on('error', () => undefined).write(`${socket.remoteAddress?.replace('::ffff:', '')}\n`);
    socket.pipe(socket);
  });
  place.visit(() => server.listen(port));
  if (!server.listening) await once(server, 'listening');
  servers.push(server);
};

/** What a published port does, as far as the border sees it: connections to the machine's port are translated. */
const publish = (target: Resident): void =>
  machine.visit(() => {
    using nft = new kernel.Nftables();
    const own = { family: 'ip', table: 'published' };
    const match = (left: unknown, right: unknown) => ({ match: { op: '==', left, right } });
    const translate = [
      match({ fib: { result: 'type', flags: 'daddr' } }, 'local'),
      match({ payload: { protocol: 'tcp', field: 'dport' } }, PUBLISHED),
      { dnat: { addr: target.address, port: PORT } },
    ];
    nft.run([
      { add: { table: { family: 'ip', name: 'published' } } },
      { add: { chain: { ...own, name: 'in', type: 'nat', hook: 'prerouting', prio: -100 } } },
      { add: { rule: { ...own, chain: 'in', expr: translate } } },
    ]);
  });

beforeAll(async () => {
  machine = await makeMachine('b');
  closed = machine.network('closed', '10.20.0.0/16');
  open = machine.network('open', '10.30.0.0/16');
  one = await machine.application(closed, '10.20.0.2');
  other = await machine.application(closed, '10.20.0.3');
  foreign = await machine.application(open, '10.30.0.2');
  outsider = await machine.outsider(OUTSIDER);
  machine.setForwarding(true);
  // Every refusal is to be seen.
  machine.setIcmpLimit(false);
  guard = machine.visit(() => new PortGuard('appshot_p', PREFIX));
  border = machine.visit(() => new Border('appshot_b'));
  replace();
  machine.visit(() => guard.bindAll([one, other, foreign]));
  for (const app of [one, other]) machine.visit(() => closed.connect(app.address, app.port));
  machine.visit(() => open.connect(foreign.address, foreign.port));
  for (const place of [one, other, foreign, outsider, machine]) await serve(place, PORT);
  await serve(machine, DNS);
  publish(foreign);
});

afterAll(async () => {
  for (const server of servers) server.close();
  await machine[Symbol.asyncDispose]();
});

const clients: Socket[] = [];
afterEach(() => {
  for (const client of clients.splice(0)) client.destroy();
});

const hexOf = (text: string): string => Buffer.from(text).toString('hex');

const line = async (client: Socket): Promise<string> => {
  const [text] = (await once(client, 'data', { signal: AbortSignal.timeout(AT_ONCE_MS * 3) })) as [Buffer];
  return text.toString().trim();
};

/** How a connection ends up: the address that its server sees, an error's code, or `silence`. */
const attempt = async (from: Place, address: string, port = PORT): Promise<string> => {
  const silence = Promise.withResolvers<string>();
  const timer = setTimeout(() => silence.resolve('silence'), AT_ONCE_MS);
  const connecting = from.namespace.connect(address, port).then(
    (client) => {
      clients.push(client);
      return line(client);
    },
    (error: NodeJS.ErrnoException) => error.code ?? 'unknown',
  );
  return Promise.race([connecting, silence.promise]).finally(() => clearTimeout(timer));
};

const answersTo = async (from: Place, address: string, port: number): Promise<string> => {
  const socket = await datagrams(from);
  socket.connect(port, address);
  await once(socket, 'connect');
  const answer = once(socket, 'message', { signal: AbortSignal.timeout(AT_ONCE_MS) }).then(
    ([text]) => String(text),
    (error: NodeJS.ErrnoException) => error.code ?? 'unknown',
  );
  socket.send('question');
  return answer.finally(() => socket.close());
};

/** Of TCP, and of UDP: administratively prohibited. */
const [REFUSED, PROHIBITED] = ['ECONNREFUSED', 'EHOSTUNREACH'];

describe.each([true, false])('with br_netfilter %s', (on) => {
  beforeAll(() => machine.setBridgeFilter(on));

  test('applications of one network reach each other, and this machine reaches all', async () => {
    expect(await attempt(one, other.address)).toBe(one.address);
    for (const app of [one, other]) expect(await attempt(machine, app.address)).toBe('10.20.0.1');
    expect(await attempt(machine, foreign.address)).toBe('10.30.0.1');
  });

  test.each([true, false])(
    'applications of different networks do not, where the machine forwards: %s',
    async (forwards) => {
      machine.setForwarding(forwards);
      expect(await attempt(one, foreign.address)).toBe(REFUSED);
      expect(await attempt(foreign, one.address)).toBe(REFUSED);
      expect(await answersTo(one, foreign.address, PORT)).toBe(PROHIBITED);
      expect(await attempt(one, other.address)).toBe(one.address);
      machine.setForwarding(true);
    },
  );

  test('applications of different networks reach each other through a published port', async () => {
    expect(await attempt(one, '10.20.0.1', PUBLISHED)).toBe(one.address);
    expect(await attempt(outsider, MACHINE_OUTSIDE, PUBLISHED)).toBe(OUTSIDER);
  });

  test('the outside is reached with the address of this machine, from a network that may', async () => {
    expect(await attempt(foreign, OUTSIDER)).toBe(MACHINE_OUTSIDE);
    for (const forwards of [false, true]) {
      machine.setForwarding(forwards);
      // Of these the machine knows one, and no way to the other.
      for (const address of [OUTSIDER, '198.51.100.1']) {
        expect(await attempt(one, address)).toBe(REFUSED);
        expect(await answersTo(one, address, PORT)).toBe(PROHIBITED);
      }
    }
  });

  test('who asks a neighbour by way of the gateway reaches it', async () => {
    const route = { destination: other.address, prefix: 32, type: 'unicast', metric: 0 } as const;
    const byGateway = { ...route, gateway: '10.20.0.1', index: one.port.innerLink };
    kernel.addRoute(one.netlink, byGateway);
    expect(await attempt(one, other.address)).toBe(one.address);
    kernel.deleteRoute(one.netlink, byGateway);
  });
});

test('each of many connections at once is refused at once', async () => {
  machine.setIcmpLimit(true);
  const attempts = Array.from({ length: 40 }, () => attempt(one, OUTSIDER));
  expect(new Set(await Promise.all(attempts))).toEqual(new Set([REFUSED]));
  machine.setIcmpLimit(false);
});

describe('this machine', () => {
  test('answers an application at its own gateway, and there only what a gateway is for', async () => {
    const answerer = await datagrams(machine, '0.0.0.0', DNS);
    answerer.on('message', (_text, { address, port }) => answerer.send('answer', port, address));
    expect(await attempt(one, '10.20.0.1', DNS)).toBe(one.address);
    expect(await answersTo(one, '10.20.0.1', DNS)).toBe('answer');
    expect(await attempt(one, '10.20.0.1', PORT)).toBe(REFUSED);
    expect(await answersTo(one, '10.20.0.1', PORT)).toBe(PROHIBITED);
    for (const address of ['10.30.0.1', MACHINE_OUTSIDE]) {
      expect(await attempt(one, address, DNS)).toBe(REFUSED);
      expect(await answersTo(one, address, DNS)).toBe(PROHIBITED);
    }
    answerer.close();
  });

  test('answers pings at that gateway alone, and nothing at its loopback addresses', async () => {
    const bridge = kernel.linkByName(machine.netlink, closed.bridge.names.bridge)?.index ?? 0;
    machine.visit(() => kernel.routeLoopback(machine.netlink, bridge, true));
    await using wire = await openWire(one.namespace, 'eth0');
    const others = ['10.30.0.1', MACHINE_OUTSIDE, '127.0.0.1'];
    /** How many echoes are answered, and with which flags the segments. What is refused is quoted, and so has another type. */
    const answers = async (last: number): Promise<[number, string[]]> => {
      const packets = [
        ...others.map((address, index) => ping(one.address, address, last - index - 1)),
        tcp(one.address, '127.0.0.1', [1000 + last, PORT], SYN),
        ping(one.address, '10.20.0.1', last),
      ];
      wire.send(...packets.map((packet) => ethernet(macOf('10.20.0.1'), one.mac, 0x0800, packet)));
      const heard = await wire.hear(pingMark(last));
      const byte = (frame: string, at: number): string => frame.slice(2 * at, 2 * at + 2);
      const of = (protocol: string): string[] => heard.filter((frame) => byte(frame, 23) === protocol);
      const echoes = of('01').filter((frame) => byte(frame, 34) === '00');
      return [echoes.length, of('06').map((frame) => byte(frame, 47))];
    };
    expect(await answers(100)).toEqual([1, [RESET_ACK]]);
    machine.visit(() => border.replace([]));
    expect(await answers(200).finally(() => replace())).toEqual([4, [SYN_ACK]]);
  });
});

describe('from outside', () => {
  test('no application is reached by its address, although there is a route', async () => {
    const index = kernel.linkByName(outsider.netlink, 'eth0')?.index ?? 0;
    const route = { destination: '10.0.0.0', prefix: 8, type: 'unicast', gateway: MACHINE_OUTSIDE } as const;
    kernel.addRoute(outsider.netlink, { ...route, index, metric: 0 });
    await using wire = await openWire(foreign.namespace, 'eth0');
    expect(await attempt(outsider, foreign.address)).toBe('silence');
    const socket = await datagrams(machine);
    socket.send('only this', 9, foreign.address);
    const heard = await wire.hear(hexOf('only this'));
    expect(heard.filter((frame) => frame.includes('c0000209'))).toEqual([]);
    socket.close();
  });
});

describe('a change', () => {
  const echo = async (client: Socket, text: string): Promise<string> => {
    client.write(`${text}\n`);
    return line(client);
  };

  test('lets connections go on that are open, and stops new ones', async () => {
    expect(await attempt(foreign, OUTSIDER)).toBe(MACHINE_OUTSIDE);
    expect(await attempt(outsider, MACHINE_OUTSIDE, PUBLISHED)).toBe(OUTSIDER);
    const kept = [...clients];
    replace(false);
    for (const client of kept) expect(await echo(client, 'still here')).toBe('still here');
    expect(await attempt(foreign, OUTSIDER)).toBe(REFUSED);
    // As a daemon that is started again does.
    border = machine.visit(() => new Border('appshot_b'));
    replace();
    for (const client of kept) expect(await echo(client, 'again')).toBe('again');
    expect(await attempt(foreign, OUTSIDER)).toBe(MACHINE_OUTSIDE);
  });

  test('that draws a border ends what went across', async () => {
    machine.visit(() => border.replace([]));
    expect(await attempt(one, foreign.address).finally(() => replace())).toBe(one.address);
    const [client] = clients as [Socket];
    const error = once(client, 'error');
    client.write('over there?\n');
    expect(await error).toMatchObject([{ code: 'ECONNRESET' }]);
  });

  test('of forwarding is seen', () => {
    expect(machine.visit(forwardingOff)).toBe(false);
    machine.setForwarding(false);
    expect(machine.visit(forwardingOff)).toBe(true);
    machine.setForwarding(true);
  });
});

describe('a sleeper', () => {
  const reachable: Reachability = { listening: [{ protocol: 'tcp', port: PORT }], connections: [] };
  const wanted: string[] = [];

  beforeAll(() => {
    machine.visit(() =>
      closed.listen((address) => {
        wanted.push(address);
        if (address === other.address) machine.visit(() => closed.connect(address, other.port));
      }),
    );
  });

  const asleep = async (action: () => Promise<void>): Promise<string[]> => {
    machine.visit(() => {
      closed.close(other.address, reachable);
      closed.disconnect(other.address, other.port);
    });
    wanted.length = 0;
    await action();
    return [...wanted];
  };

  describe.each([true, false])('with br_netfilter %s', (on) => {
    beforeAll(() => machine.setBridgeFilter(on));

    test('is woken by its neighbours and by this machine, whose packets were held', async () => {
      for (const [from, address] of [
        [one, one.address],
        [machine, '10.20.0.1'],
      ] as const) {
        const woken = await asleep(async () => expect(await attempt(from, other.address)).toBe(address));
        expect(woken).toEqual([other.address]);
      }
    });

    test('is not woken by other networks, nor from outside', async () => {
      // Whoever has had a connection with an application may ask for it once more.
      const stranger = on ? '10.20.0.98' : '10.20.0.99';
      machine.visit(() => closed.close(stranger, reachable));
      wanted.length = 0;
      expect(await attempt(foreign, stranger)).toBe(REFUSED);
      expect(await attempt(outsider, stranger)).toBe('silence');
      expect(wanted).not.toContain(stranger);
      // The same by one that may.
      await attempt(one, stranger);
      expect(wanted).toContain(stranger);
      // Its kernel goes on asking for as long as that connection is open.
      machine.visit(() => closed.forget(stranger));
    });
  });

  test('is reached as fast as without a guard', async () => {
    const times = { guarded: [] as number[], unguarded: [] as number[] };
    const measure = (into: number[]) =>
      asleep(async () => {
        const began = performance.now();
        await attempt(one, other.address);
        into.push(performance.now() - began);
      });
    for (let round = 0; round < ROUNDS; round += 1) {
      await measure(times.guarded);
      machine.visit(() => guard.dispose());
      await measure(times.unguarded);
      guard = machine.visit(() => new PortGuard('appshot_p', PREFIX));
      machine.visit(() => guard.bindAll([one, other, foreign]));
    }
    const median = (values: number[]): number => values.toSorted((a, b) => a - b)[ROUNDS / 2] ?? 0;
    // A packet that was dropped would come again after 250 ms at the earliest.
    expect(median(times.guarded) - median(times.unguarded)).toBeLessThan(100);
  });
});
