/** What the gateway must never do: end a process that is not its own, or let clients hold it up. */
import { once } from 'node:events';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { start } from '../../src/exec/index.ts';
import type { Gateway, GatewayPlan } from '../../src/gateway/index.ts';
import { backend, gatewayDirectory, makeGateway, serve } from '../support/gateway.ts';
import { createLab } from '../support/lab.ts';
import type { Lab } from '../support/lab.ts';

const one = backend('one', 1);
const PLAN: GatewayPlan = {
  http: { address: '127.0.0.1', port: 80 },
  sites: [{ host: '127.0.0.1', service: 'shop', backends: [one] }],
};

let lab: Lab;
beforeAll(async () => {
  lab = await createLab();
  await serve(lab, one);
});
afterAll(() => lab[Symbol.asyncDispose]());

const open = (): Gateway => {
  const gateway = makeGateway(lab);
  onTestFinished(() => gateway.close());
  return gateway;
};

test('no other process is taken for one that was left running', async () => {
  const stranger = await start('sleep', ['1000'], { stdio: ['ignore', 'ignore', 'ignore'] });
  onTestFinished(async () => void (await stranger.stop(0)));
  const stat = readFileSync(`/proc/${stranger.pid}/stat`, 'latin1');
  const startTime = Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19]);
  const boot = readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').trim();
  const record = { pid: stranger.pid, startTime, boot };
  mkdirSync(gatewayDirectory(lab), { recursive: true });
  for (const other of [{ startTime: startTime - 1 }, { boot: 'before' }]) {
    writeFileSync(join(gatewayDirectory(lab), 'gateway.json'), JSON.stringify({ ...record, ...other }));
    await open().close();
    expect(existsSync(`/proc/${stranger.pid}/exe`)).toBe(true);
  }
  await open().apply(PLAN);
  const own = readFileSync(join(gatewayDirectory(lab), 'gateway.json'), 'utf8');
  expect((JSON.parse(own) as { pid: number }).pid).not.toBe(stranger.pid);
});

test('one whose daemon was killed before it had said which it is, is found all the same', async () => {
  const record = join(gatewayDirectory(lab), 'gateway.json');
  const first = open();
  await first.apply(PLAN);
  const before = readFileSync(record, 'utf8');
  await first.release();
  rmSync(record);
  await open().apply(PLAN);
  expect(JSON.parse(readFileSync(record, 'utf8'))).toEqual(JSON.parse(before));
});

test.each(['h2c', 'websocket, h2c', 'h2c\r\nUpgrade: websocket'])(
  'a client cannot upgrade to %j, past what is said of headers',
  async (protocol) => {
    await open().apply(PLAN);
    const socket = await lab.connect('127.0.0.1', 80);
    const lines = ['GET / HTTP/1.1', 'Host: 127.0.0.1', 'HTTP2-Settings: AAMAAABkAAQAAP__'];
    // To the fixture each upgrade is one to WebSocket.
    const key = ['Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==', 'Sec-WebSocket-Version: 13'];
    socket.write([...lines, ...key, 'Connection: Upgrade', `Upgrade: ${protocol}`, '', ''].join('\r\n'));
    const [answer] = (await once(socket, 'data')) as [Buffer];
    expect(answer.toString()).toMatch(/^HTTP\/1.1 (?:200|400) /);
    socket.destroy();
  },
);

test('who is slow to say what he wants is told, and his connection closed', async () => {
  await open().apply(PLAN);
  const socket = await lab.connect('127.0.0.1', 80);
  socket.write('GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n');
  const dribble = setInterval(() => socket.write('X-More: 1\r\n'), 1000);
  onTestFinished(() => clearInterval(dribble));
  expect(await text(socket)).toMatch(/^HTTP\/1.1 408 /);
});
