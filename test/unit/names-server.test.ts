/** The name server on loopback, asked over real sockets. */
import { createSocket } from 'node:dgram';
import type { RemoteInfo } from 'node:dgram';
import { Resolver } from 'node:dns/promises';
import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import { afterEach, describe, expect, it } from 'vitest';
import { createLogger } from '../../src/common/index.ts';
import { frame } from '../../src/names/framing.ts';
import { NameServer, answer } from '../../src/names/index.ts';
import type { NameAnswer, NameQuestion, NamedInstance } from '../../src/names/index.ts';
import { askTcp, askUdp, dataOf, openTcp, question, rcodeOf, udpReplies } from './names-client.ts';
import type { At } from './names-client.ts';

const PORT = 10_053;
/** Loopback addresses that no other run has. */
const base = `127.${(process.pid >> 8) & 0x7f}.${process.pid & 255}`;
let used = 0;
const place = (): At => ({ address: `${base}.${++used}`, port: PORT });

const endings: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of endings.splice(0).toReversed()) await end();
});

const instance = (name: string, last: number, service = name): NamedInstance => ({
  name,
  hostname: name,
  service,
  network: 'default',
  address: `10.10.${last >> 8}.${last & 255}`,
});
const INSTANCES = [
  instance('db', 2),
  ...[3, 4, 5].map((last) => instance(`web-${last}`, last, 'web')),
  ...Array.from({ length: 400 }, (_, index) => instance(`many-${index}`, 256 + index, 'many')),
];

type Resolve = (question: NameQuestion, network: string) => NameAnswer;
const resolveOwn: Resolve = (asked, network) =>
  answer(INSTANCES, asked, { name: network, cidr: '10.10.0.0/16' });

const serve = async (
  forwardTo: readonly string[] = [],
  resolve: Resolve = resolveOwn,
  at = place(),
  mayAsk: (address: string) => boolean = () => true,
): Promise<At & { server: NameServer }> => {
  const server = new NameServer({ resolve, mayAsk, log: createLogger({ level: 'silent' }), port: PORT });
  endings.push(() => server.close());
  await server.open('default', at.address, { forwardTo });
  return { ...at, server };
};

const resolverAt = ({ address, port }: At): Resolver => {
  const resolver = new Resolver({ timeout: 6000, tries: 1 });
  resolver.setServers([`${address}:${port}`]);
  return resolver;
};

describe("Node's resolver", () => {
  it('finds names, addresses, services with many instances, and nothing else', async () => {
    const resolver = resolverAt(await serve());
    expect(await resolver.resolve4('db')).toEqual(['10.10.0.2']);
    expect(await resolver.resolve4('DB.appshot.internal', { ttl: true })).toEqual([
      { address: '10.10.0.2', ttl: 5 },
    ]);
    expect(await resolver.reverse('10.10.0.2')).toEqual(['db.default.appshot.internal']);
    expect((await resolver.resolve4('web')).toSorted()).toEqual(['10.10.0.3', '10.10.0.4', '10.10.0.5']);
    // More than UDP carries: it comes back by TCP.
    expect(await resolver.resolve4('many')).toHaveLength(400);
    await expect(resolver.resolve6('db')).rejects.toMatchObject({ code: 'ENODATA' });
    await expect(resolver.resolve4('nobody.appshot.internal')).rejects.toMatchObject({ code: 'ENOTFOUND' });
    await expect(resolver.resolve4('example.com')).rejects.toMatchObject({ code: 'EREFUSED' });
  });

  it('gets the instances of a service in changing order', async () => {
    const resolver = resolverAt(await serve());
    const orders = await Promise.all(Array.from({ length: 100 }, () => resolver.resolve4('web')));
    expect(new Set(orders.map(([first]) => first)).size).toBe(3);
  });
});

describe('a question', () => {
  it.each([
    [
      'of another class',
      question('db', 'A', { questions: [{ name: 'db', type: 'A', class: 'CH' }] }),
      'REFUSED',
    ],
    ['for the whole zone', question('appshot.internal', 'AXFR'), 'REFUSED'],
    ['of another kind', question('db', 'A', { flags: 2 << 11 }), 'NOTIMP'],
    ['for a name of others', question('example.com'), 'REFUSED'],
    ['for a name that nobody has', question('x.appshot.internal'), 'NXDOMAIN'],
    ['for a type that the name does not have', question('db', 'AAAA'), 'NOERROR'],
  ])('%s is answered by UDP and by TCP', async (_, message, rcode) => {
    const at = await serve();
    const replies = [await askUdp(at, message), ...(await askTcp(at, [message]))];
    expect(replies.map(rcodeOf)).toEqual([rcode, rcode]);
    expect(replies.flatMap(dataOf)).toEqual([]);
  });

  it('with a newer EDNS is told which one there is', async () => {
    const at = await serve();
    const message = question('db', 'A', { edns: 1232 });
    // The version is behind the root name, type, size and extended code of the last record.
    message[message.length - 5] = 1;
    const reply = await askUdp(at, message);
    expect(reply.additionals).toMatchObject([{ extendedRcode: 1, ednsVersion: 0 }]);
    expect([rcodeOf(reply), dataOf(reply)]).toEqual(['NOERROR', []]);
  });

  it('that is none is not answered, and those behind it are', async () => {
    const at = await serve();
    const noise = [Buffer.alloc(0), Buffer.alloc(8), question('db', 'A', { type: 'response', id: 1 })];
    const [reply] = await udpReplies(at, [...noise, question('db', 'A', { id: 2 })], 1);
    expect(reply?.readUInt16BE(0)).toBe(2);
  });

  it('that cannot be answered for a bug says so', async () => {
    const at = await serve([], () => {
      throw new Error('bug');
    });
    expect(rcodeOf(await askUdp(at, question('db')))).toBe('SERVFAIL');
  });

  it('for more instances than a message holds is answered with some of them', async () => {
    const records = Array.from({ length: 5000 }, (_, index) => ({
      type: 'A' as const,
      data: `10.1.${index >> 8}.${index & 255}`,
    }));
    const at = await serve([], () => ({ kind: 'found', records }));
    const [reply] = await askTcp(at, [question('x')]);
    expect(new Set(reply && dataOf(reply)).size).toBe(2000);
  });

  it('tells in which network it was asked', async () => {
    const { server, ...at } = await serve([], (_, network) => ({
      kind: 'found',
      records: [{ type: 'PTR', data: network }],
    }));
    const other = place();
    await server.open('blue', other.address, { forwardTo: [] });
    expect(dataOf(await askUdp(at, question('x', 'PTR')))).toEqual(['default']);
    expect(dataOf(await askUdp(other, question('x', 'PTR')))).toEqual(['blue']);
  });
});

describe('whoever may not ask', () => {
  const [friend, stranger] = [place().address, place().address];

  it('gets no reply by UDP', async () => {
    const at = await serve([], resolveOwn, place(), (address) => address === friend);
    const heard: string[] = [];
    const ask = async (address: string): Promise<Buffer[]> => {
      const socket = createSocket('udp4').bind(0, address);
      endings.push(() => socket.close());
      await once(socket, 'listening');
      socket.on('message', () => heard.push(address)).send(question('db'), at.port, at.address);
      return address === friend ? ((await once(socket, 'message')) as Buffer[]) : [];
    };
    await ask(stranger);
    await ask(friend);
    // A reply to the first would have come before one to the second.
    expect(heard).toEqual([friend]);
  });

  it('gets no reply by TCP, and its connection ends', async () => {
    const at = await serve([], resolveOwn, place(), (address) => address === friend);
    const ask = async (localAddress: string): Promise<number> => {
      const socket = connect({ host: at.address, port: at.port, localAddress });
      socket.on('error', () => undefined).end(frame(question('db')));
      let bytes = 0;
      socket.on('data', (some) => (bytes += some.length));
      await once(socket, 'close');
      return bytes;
    };
    expect(await ask(stranger)).toBe(0);
    expect(await ask(friend)).toBeGreaterThan(0);
  });

  it('is whoever nobody can tell of', async () => {
    const at = await serve([], resolveOwn, place(), () => {
      throw new Error('bug');
    });
    expect(await askTcp(at, [question('db')]).catch(() => [])).toEqual([]);
  });
});

describe('a connection', () => {
  it.each([1, 7, 4096])('takes many questions in pieces of %i bytes', async (piece) => {
    const at = await serve();
    const messages = Array.from({ length: 60 }, (_, id) => question(`many-${id}`, 'A', { id }));
    const replies = (await askTcp(at, messages, piece)).toSorted((a, b) => (a.id ?? 0) - (b.id ?? 0));
    expect(replies.map(dataOf)).toEqual(messages.map((_, id) => [`10.10.1.${id}`]));
  });

  it('ends when too long a message is announced, and others go on', async () => {
    const at = await serve();
    const [bad, good] = [await openTcp(at), await openTcp(at)];
    const closed = once(bad, 'close');
    bad.resume().write(Buffer.of(0x10, 0x01));
    await closed;
    expect(good.destroyed).toBe(false);
    good.destroy();
    expect(await askTcp(at, [question('db')])).toHaveLength(1);
  });

  it('ends when it is silent', { timeout: 10_000 }, async () => {
    const socket = await openTcp(await serve());
    const begun = performance.now();
    socket.resume().write(Buffer.of(0));
    await once(socket, 'close');
    expect(performance.now() - begun).toBeGreaterThan(4900);
  });

  it('is one of 128 at most', async () => {
    const at = await serve();
    const sockets = await Promise.all(Array.from({ length: 128 }, () => openTcp(at)));
    // The next one is closed at once, before or after it has asked.
    expect(await askTcp(at, [question('db')]).catch(() => [])).toEqual([]);
    const [first] = sockets;
    first?.destroy();
    await expect.poll(() => askTcp(at, [question('db')]).catch(() => [])).toHaveLength(1);
    for (const socket of sockets) socket.destroy();
  });
});

/** A server that is not ours: does as it is told with each question. */
const upstream = async (
  react: (message: Buffer, answerTo: (reply: Buffer) => void) => void,
  at = place(),
): Promise<string> => {
  const socket = createSocket('udp4');
  socket.on('message', (message: Buffer, { port, address }: RemoteInfo) =>
    react(message, (reply) => socket.send(reply, port, address)),
  );
  socket.bind(at.port, at.address);
  await once(socket, 'listening');
  endings.push(() => socket.close());
  return `${at.address}:${at.port}`;
};

/** A name server outside that knows two names. */
const outside = async (): Promise<string> => {
  const { address, port } = await serve([], ({ name }) => {
    const count = { 'small.example': 1, 'big.example': 300 }[name];
    if (count === undefined) return { kind: 'unknown' };
    const data = (index: number): string => `192.0.${index >> 8}.${index & 255}`;
    return {
      kind: 'found',
      records: Array.from({ length: count }, (_, index) => ({ type: 'A', data: data(index) })),
    };
  });
  return `${address}:${port}`;
};

const nobody = (): string => `${place().address}:${PORT}`;
const silent = (): Promise<string> => upstream(() => undefined);

describe('a name of others, where the network may reach them,', () => {
  it('is asked of the server outside, by TCP too when the answer is long', async () => {
    const at = await serve([await outside()]);
    const resolver = resolverAt(at);
    expect(await resolver.resolve4('small.example')).toEqual(['192.0.0.0']);
    expect(await resolver.resolve4('big.example')).toHaveLength(300);
    await expect(resolver.resolve4('none.example')).rejects.toMatchObject({ code: 'ENOTFOUND' });
    const cut = await askUdp(at, question('big.example', 'A', { id: 99 }));
    expect(cut).toMatchObject({ id: 99, flag_tc: true, answers: [] });
    expect(await askUdp(at, question('db'))).toMatchObject({ flag_aa: true, flag_ra: true });
  });

  it('is not asked when it is one of ours that nobody has', async () => {
    let asked = 0;
    const at = await serve([await upstream(() => (asked += 1))]);
    for (const name of ['x.appshot.internal', 'x', '9.0.10.10.in-addr.arpa'])
      expect(rcodeOf(await askUdp(at, question(name)))).toBe('NXDOMAIN');
    expect(asked).toBe(0);
  });

  it('is asked of the next server when nobody listens, or it cannot tell', async () => {
    const { address, port } = await serve();
    for (const first of [nobody(), `${address}:${port}`]) {
      const at = await serve([first, await outside()]);
      expect(await resolverAt(at).resolve4('small.example')).toEqual(['192.0.0.0']);
    }
  });

  it('is asked of the next server when one is silent', async () => {
    const at = await serve([await silent(), await outside()]);
    const begun = performance.now();
    expect(await resolverAt(at).resolve4('small.example')).toEqual(['192.0.0.0']);
    expect(performance.now() - begun).toBeGreaterThan(1900);
    expect(performance.now() - begun).toBeLessThan(4500);
  });

  it('fails when no server answers', async () => {
    const at = await serve([nobody(), nobody()]);
    expect(rcodeOf(await askUdp(at, question('small.example')))).toBe('SERVFAIL');
    const refusing = await serve();
    const refused = await serve([`${refusing.address}:${PORT}`]);
    expect(rcodeOf(await askUdp(refused, question('small.example')))).toBe('REFUSED');
  });

  it('is not taken from a reply to something else', async () => {
    const at = await serve([
      await upstream((message, answerTo) => {
        const made = (id: number, name: string, data: string): Buffer =>
          question(name, 'A', { type: 'response', id, answers: [{ name, type: 'A', data }] });
        const id = message.readUInt16BE(0);
        answerTo(made(id ^ 1, 'small.example', '6.6.6.6'));
        answerTo(made(id, 'other.example', '6.6.6.6'));
        answerTo(message);
        answerTo(Buffer.alloc(3));
        answerTo(made(id, 'small.example', '192.0.2.1'));
      }),
    ]);
    expect(dataOf(await askUdp(at, question('small.example')))).toEqual(['192.0.2.1']);
  });

  it('is asked of nobody when 64 are under way', async () => {
    const heard = Promise.withResolvers<void>();
    let asked = 0;
    const at = await serve([await upstream(() => (asked += 1) === 64 && heard.resolve())]);
    const messages = Array.from({ length: 64 }, (_, id) => question('x.example', 'A', { id }));
    const socket = createSocket('udp4');
    for (const message of messages) socket.send(message, at.port, at.address);
    await heard.promise;
    const begun = performance.now();
    expect(rcodeOf(await askUdp(at, question('y.example')))).toBe('SERVFAIL');
    expect(performance.now() - begun).toBeLessThan(1000);
    expect(dataOf(await askUdp(at, question('db')))).toEqual(['10.10.0.2']);
    expect(asked).toBe(64);
    socket.close();
  });

  it('is given up when the network is shut', async () => {
    const { server, ...at } = await serve([await silent()]);
    const asked = askTcp(at, [question('small.example')]);
    await pause(50);
    await server.shut('default');
    await expect(asked).resolves.toEqual([]);
  });
});

const takeUdp = async ({ address, port }: At): Promise<() => Promise<void>> => {
  const socket = createSocket('udp4').bind(port, address);
  await once(socket, 'listening');
  return async () => {
    await socket[Symbol.asyncDispose]();
  };
};

const takeTcp = async ({ address, port }: At): Promise<() => Promise<void>> => {
  const server = createServer().listen(port, address);
  await once(server, 'listening');
  return async () => {
    await server[Symbol.asyncDispose]();
  };
};

describe('a network', () => {
  it('is opened, opened in another way, shut and opened again', async () => {
    const { server, ...at } = await serve();
    expect(rcodeOf(await askUdp(at, question('small.example')))).toBe('REFUSED');
    await server.open('default', at.address, { forwardTo: [await outside()] });
    expect(rcodeOf(await askUdp(at, question('small.example')))).toBe('NOERROR');
    const idle = await openTcp(at);
    const closed = once(idle.resume(), 'close');
    await server.shut('default');
    await closed;
    await server.shut('default');
    await expect(askTcp(at, [question('db')])).rejects.toMatchObject({ code: 'ECONNREFUSED' });
    await server.open('default', at.address, { forwardTo: [] });
    expect(dataOf(await askUdp(at, question('db')))).toEqual(['10.10.0.2']);
  });

  it.each(['UDP', 'TCP'])('whose %s port another program has is refused', async (protocol) => {
    const at = place();
    const free = protocol === 'UDP' ? await takeUdp(at) : await takeTcp(at);
    await expect(serve([], resolveOwn, at)).rejects.toMatchObject({
      code: 'NAMES_PORT_TAKEN',
      details: { network: 'default', address: at.address, port: PORT, protocol },
    });
    await free();
    // Nothing was left listening by the refused one.
    await serve([], resolveOwn, at);
  });
});
