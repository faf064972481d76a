/** Sites of real applications behind the web gateway of a real daemon, by clients that know nothing of sleep. */
import { readFileSync } from 'node:fs';
import { connect as connectHttp2 } from 'node:http2';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { connect as connectTls } from 'node:tls';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { Client } from '../../src/api/client.ts';
import { ChainSpec } from '../../src/api/index.ts';
import type { AppShotError } from '../../src/common/index.ts';
import { eventually } from '../support/eventually.ts';
import { load, selfSigned, webSocket } from '../support/gateway.ts';
import type { DaemonProcess } from '../support/daemon-process.ts';
import { createLab } from '../support/lab.ts';
import type { Lab } from '../support/lab.ts';

const PORT = 8080;
const SITE = fileURLToPath(new URL('../fixtures/site.js', import.meta.url));

let lab: Lab;
let daemon: DaemonProcess;
let client: Client;
let args: string[];

beforeAll(async () => {
  lab = await createLab();
  const certificates = await selfSigned(join(lab.directory, 'certificates'), 'shop.pem', 'shop.example');
  args = ['--http', '80', '--https', '443', '--certificates', certificates];
  daemon = await lab.daemon({ args });
  client = new Client(lab.runDirectory);
});

afterEach(async () => {
  for (const { aid } of await client.apps({ all: true })) await client.remove(aid, { force: true });
  for (const { name } of await client.templates()) await client.removeTemplate(name);
});

afterAll(() => lab[Symbol.asyncDispose]());

const curl = (host: string, path = '/', ...more: string[]): Promise<string> =>
  lab
    .exec('curl', [
      ...['--silent', '--show-error', '--fail', '--max-time', '30', '--resolve', '*:80:127.0.0.1'],
      ...[...more, `http://${host}${path}`],
    ])
    .then(({ stdout }) => stdout);

/** The instance that answers. */
const whoIs = async (host: string, path?: string): Promise<string> =>
  (JSON.parse(await curl(host, path)) as { name: string }).name;

const specOf = (name: string, host: string, more: Partial<ChainSpec> = {}): ChainSpec =>
  ChainSpec.parse({
    name,
    processes: [{ name: 'site', command: [process.execPath, SITE, `-=0.0.0.0:${PORT}`] }],
    sites: [{ host, port: PORT }],
    ...more,
  });

/** Started, and answering at its site. */
const open = async (name: string, host: string, more: Partial<ChainSpec> = {}): Promise<string> => {
  const { aid } = await client.run(specOf(name, host, more));
  await eventually(async () => expect(await whoIs(host, more.sites?.[0]?.path)).toBe(name));
  return aid;
};

const stateOf = async (name: string): Promise<string> => (await client.inspect(name)).state;

/** Asleep, and nothing of the gateway's left to wake it. */
const lay = async (name: string): Promise<void> => {
  const { address } = await client.inspect(name);
  await eventually(async () => {
    const { stdout } = await lab.exec('ss', ['-Htn', 'state', 'connected', 'dst', address]);
    expect(stdout).toBe('');
  }, 20_000);
  await client.sleep(name);
  expect(await stateOf(name)).toBe('asleep');
};

const gatewayPid = (): number =>
  (JSON.parse(readFileSync(join(lab.runDirectory, 'gateway', 'gateway.json'), 'utf8')) as { pid: number })
    .pid;

test('host names and paths lead to services, and a request wakes the one that it is for', async () => {
  await open('shop', 'shop.example');
  await open('blog', 'blog.example');
  await open('api', 'shop.example', { sites: [{ host: 'shop.example', path: '/api', port: PORT }] });
  expect([await whoIs('shop.example', '/apis'), await whoIs('shop.example', '/api/x')]).toEqual([
    'shop',
    'api',
  ]);
  await lay('shop');
  await lay('blog');
  expect(await whoIs('shop.example')).toBe('shop');
  // It answers before its wake is over.
  await eventually(async () => expect(await stateOf('shop')).toBe('running'));
  expect(await stateOf('blog')).toBe('asleep');
  await client.remove('api', { force: true });
  await eventually(async () => expect(await whoIs('shop.example', '/api')).toBe('shop'));
  await expect(curl('other.example')).rejects.toThrow(/404/);
});

test('a site of another service, at another port, or without a gateway is refused', async () => {
  await open('shop', 'shop.example');
  const taken = { code: 'SITE_TAKEN', message: expect.stringContaining('the service shop has it') };
  await expect(client.run(specOf('rival', 'shop.example'))).rejects.toMatchObject(taken);
  const other = { service: 'shop', sites: [{ host: 'shop.example', port: PORT + 1 }] };
  await expect(client.run(specOf('shop-2', 'shop.example', other))).rejects.toMatchObject({
    code: 'SITE_TAKEN',
    message: expect.stringContaining(`port ${PORT} of the service shop has it`),
  });
  const rivals = await Promise.allSettled(
    ['one', 'two', 'three'].map((name) => client.run(specOf(name, 'new.example'))),
  );
  expect(rivals.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
  await client.remove('shop', { force: true });
  await open('rival', 'shop.example');
});

test('instances share requests; sleeping, waking, clones that come and go fail none', async () => {
  await open('shop', 'shop.example');
  await client.createTemplate({ name: 'warm', from: 'shop' });
  const loading = await load(lab, 'shop.example', 4);
  const [first] = await client.clone('warm', { count: 1, name: 'shop-a', service: 'shop' });
  const [second] = await client.clone('warm', { count: 1, name: 'shop-b', service: 'shop' });
  const seen = new Set<string>();
  await eventually(async () => {
    seen.add(await whoIs('shop.example'));
    expect([...seen].toSorted()).toEqual(['shop', 'shop-a', 'shop-b']);
  });
  await client.remove(first?.aid ?? '', { force: true });
  await client.freeze('shop-b');
  await client.wake('shop-b');
  const outcome = await client.sleep('shop').then(
    ({ state }) => state,
    ({ code }: AppShotError) => code,
  );
  expect(['asleep', 'TURNED_BACK']).toContain(outcome);
  await client.wake('shop');
  await client.remove(second?.aid ?? '', { force: true });
  const { answers, failures } = await loading.stop();
  expect(failures).toEqual([]);
  expect(answers).toBeGreaterThan(200);
  expect(await whoIs('shop.example')).toBe('shop');
});

/** One request over HTTP/2. */
const over2 = async (host: string): Promise<{ protocol: string | undefined; body: string }> => {
  const ca = readFileSync(join(lab.directory, 'certificates', 'shop.pem'));
  const socket = await lab.connect('127.0.0.1', 443);
  const secure = connectTls({ socket, ca, servername: host, ALPNProtocols: ['h2'] });
  const session = connectHttp2(`https://${host}`, { createConnection: () => secure });
  const body = await text(session.request({ ':path': '/' }));
  session.close();
  return { protocol: session.alpnProtocol, body };
};

test('HTTPS by HTTP/2 and a WebSocket, over a sleep', async () => {
  await open('shop', 'shop.example');
  await lay('shop');
  const { protocol, body } = await over2('shop.example');
  expect([protocol, JSON.parse(body)]).toMatchObject(['h2', { name: 'shop' }]);
  await open('chat', '127.0.0.1');
  const socket = await webSocket(lab, 'wss://127.0.0.1/');
  socket.tell('hello');
  await socket.hear(/^chat hello$/);
  const { address } = await client.inspect('chat');
  await eventually(async () => {
    const { stdout } = await lab.exec('ss', ['-Htn', 'state', 'connected', 'dst', address]);
    expect(stdout.trim().split('\n')).toHaveLength(1);
  }, 20_000);
  await client.sleep('chat');
  expect(await stateOf('chat')).toBe('asleep');
  socket.tell('still there');
  await socket.hear(/^chat still there$/);
  await eventually(async () => expect(await stateOf('chat')).toBe('running'));
  await socket.close();
});

test('goes on while the daemon is away, and is taken over by the next', async () => {
  await open('shop', 'shop.example');
  await open('blog', 'blog.example');
  await lay('blog');
  const pid = gatewayPid();
  const loading = await load(lab, 'shop.example', 2);
  await daemon.kill();
  expect(await whoIs('shop.example')).toBe('shop');
  const waiting = whoIs('blog.example');
  daemon = await lab.daemon({ args });
  expect(await waiting).toBe('blog');
  expect(gatewayPid()).toBe(pid);
  await open('new', 'new.example');
  expect((await loading.stop()).failures).toEqual([]);
  await daemon.stop();
  expect(await whoIs('shop.example')).toBe('shop');
  daemon = await lab.daemon();
  await expect(lab.connect('127.0.0.1', 80)).rejects.toMatchObject({ code: 'ECONNREFUSED' });
  await expect(client.run(specOf('late', 'late.example'))).rejects.toMatchObject({ code: 'GATEWAY_OFF' });
  await daemon.stop();
  const taken = await lab.talk('python3', ['-u', '-m', 'http.server', '81']);
  await taken.hear(/Serving/);
  await expect(lab.daemon({ args: ['--http', '81'] })).rejects.toThrow(
    /ended \(code 1.*Address already in use/s,
  );
  await taken.close();
  daemon = await lab.daemon({ args });
  expect(await whoIs('new.example')).toBe('new');
});

test('an application reaches sites of this machine', async () => {
  await open('shop', 'shop.example');
  await client.createNetwork({ name: 'apart', outgoing: false });
  const { aid } = await client.run(specOf('asker', 'asker.example', { network: 'apart' }));
  const ask = async (address: string): Promise<string> =>
    (
      await lab.appshot(
        'exec',
        'asker',
        '--',
        'curl',
        '-sf',
        '-m',
        '5',
        '-H',
        'Host: shop.example',
        `http://${address}/`,
      )
    ).stdout;
  const networks = await client.networks();
  for (const { gateway } of networks) expect(await ask(gateway)).toMatch(/"name":"shop"/);
  await client.remove(aid, { force: true });
  await client.removeNetwork('apart');
});
