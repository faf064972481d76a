/**
 * A storm of packets that nobody asked for, from this machine and from a neighbour at once: every port of a sleeper on which it does not
 * listen, and every address of a network, by TCP, UDP and ping, as fast as they can be sent. Nobody wakes, whoever is idle falls asleep, the
 * daemon answers, and does not grow.
 */
import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Client } from '../../src/api/client.ts';
import { run } from '../../src/exec/index.ts';
import { launch } from '../support/application.ts';
import type { Application } from '../support/application.ts';
import { eventually } from '../support/eventually.ts';
import { createLab } from '../support/lab.ts';
import type { Lab } from '../support/lab.ts';
import { node } from '../support/programs/node.ts';
import { PYTHON, fixture } from '../support/programs/program.ts';

const GATEWAY = '10.10.0.1';
const CLOSED = 9;
const DATAGRAMS = 5353;
const IDLE_SECONDS = 2;
const PYTHON_WAITS = `import socket, time; s = socket.socket(type=socket.SOCK_DGRAM); s.bind(('', ${DATAGRAMS})); s.recv(1)`;
/** How many times as long an answer may take during the storm, which takes all processors, and how much more memory the daemon may hold. */
const [SLOWER, LARGER] = [100, 1.4];

let lab: Lab;
let client: Client;
let web: Application;
let name: Application;
let neighbour: Application;

beforeAll(async () => {
  lab = await createLab();
  await lab.daemon();
  client = new Client(lab.runDirectory);
  web = await launch(lab, 'web', node.launch);
  // Whatever a neighbour asks of one that gets datagrams may be one: the neighbour does not look in its part of the network.
  name = await launch(lab, 'name', { command: [PYTHON, '-c', PYTHON_WAITS] }, ['--address', '10.10.9.2']);
  neighbour = await launch(lab, 'neighbour', { command: ['sleep', 'infinity'] });
  await node.ready({ lab, address: web.address });
  await eventually(async () => {
    const { listening } = await client.inspect(name.aid);
    if (!listening.some(({ port }) => port === DATAGRAMS)) throw new Error('it does not listen yet');
  });
});

afterAll(async () => {
  await lab[Symbol.asyncDispose]();
});

const scan = async (inside: string, ...words: string[]): Promise<number> => {
  const args = [`--net=${inside}`, '--', PYTHON, fixture('scan.py'), ...words];
  const { stdout } = await run('nsenter', args, { timeoutMs: 120_000 });
  const [sent = 0, refused = 0] = stdout.split(' ').map(Number);
  return sent + refused;
};

/** All addresses of the /24 that an address is in, its network and broadcast address too, but for these. */
const hosts = (address: string, ...spared: string[]): string[] =>
  Array.from({ length: 256 }, (_, last) => address.replace(/\d+$/, String(last))).filter(
    (one) => !spared.includes(one),
  );

/** Scans the idle application until it has fallen asleep under that: a scan ends, and it sleeps already. */
const besiege = async (idle: Application, inside: string): Promise<number> => {
  let sent = 0;
  for (let turn = 0; turn < 6; turn += 1) {
    sent += await scan(inside, 'ports', neighbour.address, idle.address, String(node.port));
    const ended = Date.now();
    const { state, since } = await client.inspect(idle.aid);
    if (state === 'asleep' && Date.parse(since) < ended) return sent;
  }
  throw new Error('the scan keeps it awake');
};

const storm = async (idle: Application): Promise<number> => {
  const inside = `/proc/${(await client.inspect(neighbour.aid)).processes[0]?.systemPid}/ns/net`;
  const [here, port] = [lab.namespace.path, String(node.port)];
  const counts = await Promise.all([
    besiege(idle, inside),
    scan(here, 'ports', GATEWAY, web.address, port),
    scan(here, 'ports', GATEWAY, name.address, String(DATAGRAMS)),
    scan(here, 'hosts', GATEWAY, String(CLOSED), ...hosts(web.address), ...hosts(name.address)),
    scan(inside, 'ports', neighbour.address, web.address, port),
    scan(inside, 'hosts', neighbour.address, String(CLOSED), ...hosts(web.address, neighbour.address)),
  ]);
  return counts.reduce((sum, count) => sum + count, 0);
};

/** Milliseconds of one answer after the other while something goes on. */
const answersDuring = async (action: Promise<unknown>): Promise<number[]> => {
  const times: number[] = [];
  const over = new AbortController();
  const ended = action.finally(() => over.abort());
  ended.catch(() => undefined);
  do {
    const began = performance.now();
    expect((await client.apps({ all: true })).length).toBe(4);
    times.push(performance.now() - began);
  } while (!over.signal.aborted);
  await ended;
  return times;
};

const median = (times: readonly number[]): number => times.toSorted((a, b) => a - b)[times.length >> 1] ?? 0;
const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

const daemonBytes = (): number =>
  Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${lab.daemonPid()}/status`, 'utf8'))?.[1]) * 1024;

test('a storm wakes nobody, keeps nobody awake, and the daemon answers', async () => {
  for (const sleeper of [web, name]) await sleeper.sleep();
  const since = async () => [(await web.inspect()).since, (await name.inspect()).since];
  const asleep = await since();
  const idle = await launch(lab, 'idle', node.launch, ['--idle', `${IDLE_SECONDS}s`]);
  await node.ready({ lab, address: idle.address });
  const quiet = await answersDuring(pause(500));
  let packets = 0;
  let bytes = 0;
  const storms = async (): Promise<void> => {
    packets = await storm(idle);
    bytes = daemonBytes();
    packets += await storm(idle);
  };
  const under = await answersDuring(storms());
  expect(await since()).toEqual(asleep);
  expect(await idle.state()).toBe('asleep');
  expect(packets).toBeGreaterThan(1_000_000);
  expect(median(under)).toBeLessThan(SLOWER * Math.max(1, median(quiet)));
  expect(Math.max(...under)).toBeLessThan(SLOWER * Math.max(...quiet, 10));
  expect(daemonBytes()).toBeLessThan(LARGER * bytes);
  // Asked for, they wake as ever.
  await node.ready({ lab, address: web.address });
  await node.ready({ lab, address: idle.address });
});
