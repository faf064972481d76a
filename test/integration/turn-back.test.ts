/** A sleep under way turns back when a packet arrives: the client waits no longer than it must, and nothing is lost. */
import { once } from 'node:events';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Client } from '../../src/api/client.ts';
import { launch } from '../support/application.ts';
import type { Application } from '../support/application.ts';
import { eventually } from '../support/eventually.ts';
import { httpConnection } from '../support/http-client.ts';
import { APPSHOT, createLab } from '../support/lab.ts';
import type { Lab } from '../support/lab.ts';
import { fixture, PYTHON } from '../support/programs/program.ts';
import { node } from '../support/programs/node.ts';

/** So much memory that saving it takes far longer than a request. */
const MEGABYTES = 600;

let lab: Lab;
let app: Application;

beforeAll(async () => {
  lab = await createLab();
  await lab.daemon();
  app = await launch(lab, 'large', {
    command: [process.execPath, fixture('counter.js'), String(node.port), String(MEGABYTES)],
  });
  await node.ready({ lab, address: app.address });
});

afterAll(async () => {
  await lab[Symbol.asyncDispose]();
});

test.each([
  ['a new connection', 0],
  ['an open connection', 1],
])('%s turns a sleep back', async (kind, earlier) => {
  const to = lab.namespace.inside(app.address, node.port);
  const open = httpConnection(to);
  const before = JSON.parse((await open.get('/count')).body) as { count: number; pid: number };
  const client = kind === 'an open connection' ? open : httpConnection(to);
  const events = await lab.talk(APPSHOT, ['events', '--follow']);
  for (let turn = 0; turn < earlier; turn += 1) await events.hear(/turned-back/);
  const sleeping = lab.appshot('sleep', '--json', app.aid);
  await events.hear(/sleeping/);
  const answer = await client.get('/count');
  expect(JSON.parse(answer.body)).toMatchObject({ count: before.count + 1, pid: before.pid });
  const { code, stderr } = await sleeping;
  expect({ code, turnedBack: stderr.includes('TURNED_BACK') }).toEqual({ code: 1, turnedBack: true });
  expect(await app.state()).toBe('running');
  expect(JSON.parse((await open.get('/count')).body)).toMatchObject({ count: before.count + 2 });
  await events.close();
  open.close();
  client.close();
});

/** Answers each connection with a word, and never closes one. */
const KEEPS = `
import socket
listener = socket.create_server(('', ${node.port}))
kept = []
while True:
    one, _ = listener.accept()
    kept.append(one)
    one.recv(100)
    one.send(b'x')
`;

test('a client that has just closed its connection does not', async () => {
  const client = new Client(lab.runDirectory);
  const keeper = await launch(lab, 'keeper', { command: [PYTHON, '-c', KEEPS] });
  for (let turn = 0; turn < 5; turn += 1) {
    const socket = await eventually(() => lab.connect(keeper.address, node.port));
    socket.write('x');
    await once(socket, 'data');
    // By the kernel's own time the application's acknowledgement may come 40 ms later, and until then this end says it again.
    socket.end();
    await client.sleep(keeper.aid);
    expect(await keeper.state()).toBe('asleep');
    socket.destroy();
    await client.wake(keeper.aid);
  }
  await keeper.remove();
});

test('what a packet wakes while it is removed is removed', async () => {
  for (let turn = 0; turn < 3; turn += 1) {
    const victim = await launch(lab, `victim-${turn}`, node.launch);
    await node.ready({ lab, address: victim.address });
    await victim.sleep();
    const client = httpConnection(lab.namespace.inside(victim.address, node.port));
    const asked = client.get('/count').catch(() => undefined);
    await Promise.all([lab.succeed('rm', '--force', victim.aid), asked]);
    client.close();
    const left = (await lab.succeed('ps', '--all', '--json')).json<{ aid: string }[]>();
    expect(left.map(({ aid }) => aid)).toEqual([app.aid]);
  }
});
