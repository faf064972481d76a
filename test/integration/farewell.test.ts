/** What clients see of an application that is ended while it answers: nobody waits in vain. */
import { once } from 'node:events';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { Client } from '../../src/api/client.ts';
import { ChainSpec } from '../../src/api/index.ts';
import { eventually } from '../support/eventually.ts';
import { createLab } from '../support/lab.ts';
import type { Lab } from '../support/lab.ts';

const HOST = 'shop.example';
/** Answers `/` alone. It has much memory, so that it ends long after the first process of its chain. */
const SILENT = `
  globalThis.much = Buffer.alloc(${256 << 20}, 1);
  require('node:http').createServer(({ url }, response) => {
    console.log(url);
    if (url === '/') response.end('here');
  }).listen(8080, '0.0.0.0');`;
/** Of curl: an empty answer, and a connection that was broken off. */
const BROKEN_OFF = [52, 56];

let lab: Lab;
let client: Client;

beforeAll(async () => {
  lab = await createLab();
  await lab.daemon({ args: ['--http', '80'] });
  client = new Client(lab.runDirectory);
});

afterEach(async () => {
  for (const { aid } of await client.apps({ all: true })) await client.remove(aid, { force: true });
});

afterAll(() => lab[Symbol.asyncDispose]());

const specOf = (name: string, more: Partial<ChainSpec> = {}): ChainSpec =>
  ChainSpec.parse({ name, processes: [{ name, command: [process.execPath, '-e', SILENT] }], ...more });

const curl = (...args: string[]): Promise<{ code: number | null; stdout: string }> =>
  lab.foreground('curl', ['-s', '-m', '20', ...args]);

/** Started, and answering at its own address. */
const open = async (name: string, more?: Partial<ChainSpec>): Promise<string> => {
  const { address } = await client.run(specOf(name, more));
  await eventually(async () => expect((await curl(`http://${address}:8080/`)).stdout).toBe('here'));
  return address;
};

/** Resolves when the application has read a request for this path. */
const asked = (name: string, path: string): Promise<void> =>
  eventually(async () => expect((await lab.succeed('logs', name)).stdout).toContain(path));

test('a client of an application that is removed hears of it at once, on this machine and in the network', async () => {
  const address = await open('shop');
  await open('asker');
  const url = (path: string): string => `http://${address}:8080${path}`;
  const near = curl(url('/near'));
  const far = lab.appshot('exec', 'asker', '--', 'curl', '-s', '-m', '20', url('/far'));
  await Promise.all([asked('shop', '/near'), asked('shop', '/far')]);
  const begun = performance.now();
  await client.remove('shop', { force: true });
  expect(BROKEN_OFF).toContain((await far).code);
  expect(BROKEN_OFF).toContain((await near).code);
  expect(performance.now() - begun).toBeLessThan(5000);
});

test('a client of a sleeper that is removed hears of it at once', async () => {
  const address = await open('shop');
  const socket = await lab.connect(address, 8080);
  const failed = once(socket, 'error') as Promise<[Error]>;
  socket.write('GET /waits HTTP/1.1\r\nHost: shop\r\n\r\n');
  await asked('shop', '/waits');
  await client.sleep('shop');
  await client.remove('shop', { force: true });
  expect((await failed)[0]).toMatchObject({ code: 'ECONNABORTED' });
});

test('the gateway asks another instance what may be asked twice, and says at once what was broken off', async () => {
  const sites = [{ host: HOST, port: 8080 }];
  const through = (path: string, ...args: string[]) =>
    curl('-w', '%{http_code}', '-H', `Host: ${HOST}`, ...args, `http://127.0.0.1${path}`);
  await open('shop', { sites });
  await eventually(async () => expect((await through('/')).stdout).toBe('here200'));
  const posted = through('/post', '-d', 'once');
  const asks = through('/get');
  await Promise.all([asked('shop', '/post'), asked('shop', '/get')]);
  await open('second', { sites, service: 'shop' });
  const begun = performance.now();
  await client.remove('shop', { force: true });
  expect((await posted).stdout).toMatch(/502$/);
  await asked('second', '/get');
  await client.remove('second', { force: true });
  expect((await asks).stdout).toMatch(/50[23]$/);
  expect(performance.now() - begun).toBeLessThan(8000);
});
