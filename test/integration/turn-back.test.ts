/** A sleep under way turns back when a packet arrives: the client waits no longer than it must, and nothing is lost. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { launch } from '../support/application.ts';
import type { Application } from '../support/application.ts';
import { httpConnection } from '../support/http-client.ts';
import { APPSHOT, createLab } from '../support/lab.ts';
import type { Lab } from '../support/lab.ts';
import { fixture } from '../support/programs/program.ts';
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
