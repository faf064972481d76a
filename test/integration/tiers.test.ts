/** The tiers of idleness, and what the scheduler says of its decisions. */
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { AppEvent, TopRow } from '../../src/api/index.ts';
import { launch } from '../support/application.ts';
import { eventually } from '../support/eventually.ts';
import { createLab } from '../support/lab.ts';
import type { Lab } from '../support/lab.ts';
import { node } from '../support/programs/node.ts';

let lab: Lab;

beforeAll(async () => {
  lab = await createLab();
  await lab.daemon();
});

afterAll(async () => {
  await lab[Symbol.asyncDispose]();
});

const eventsOf = async (name: string): Promise<AppEvent[]> =>
  (await lab.succeed('events', '--json')).stdout
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line) as AppEvent)
    .filter((event) => event.name === name);

const passages = async (name: string): Promise<string[]> =>
  (await eventsOf(name)).map(({ type, data }) =>
    type === 'decision' ? `${String(data?.['kind'])} ${String(data?.['code'])}` : type,
  );

const reached = (name: string, state: string): Promise<void> =>
  eventually(
    async () => expect((await lab.succeed('ps', '--all')).stdout).toMatch(new RegExp(`${name} +${state}`)),
    20_000,
    100,
  );

test('running, frozen, asleep: each in its time, each an event with its reason, and a request brings it back from both', async () => {
  const app = await launch(lab, 'tiers', node.launch, ['--freeze', '700ms', '--idle', '4s']);
  const at = { lab, address: app.address };
  await node.ready(at);
  const work = await node.begin(at);
  await reached('tiers', 'frozen');
  await work.goOn();
  await reached('tiers', 'asleep');
  const sleep = (await eventsOf('tiers')).find(({ data }) => data?.['kind'] === 'sleep');
  expect(sleep?.reason).toMatch(/^sleep idle: idle for \d\S*s; it sleeps after 4s$/);
  const [row] = JSON.parse((await lab.succeed('top', '--json')).stdout) as TopRow[];
  expect(row?.decision).toMatchObject({ what: 'sleep', at: expect.any(String) as string });
  expect((await lab.succeed('top', '--once')).stdout).toContain('sleep: idle for');
  const socket = join(lab.runDirectory, 'appshot.sock');
  const metrics = await lab.exec('curl', ['-s', '--unix-socket', socket, 'http://localhost/metrics']);
  expect(metrics.stdout).toMatch(/^appshot_decisions_total{kind="freeze"} [2-9]$/m);
  await work.goOn();
  const passed = (await passages('tiers')).filter((one) => one !== 'kept');
  const frozen = ['freeze idle-freeze', 'freezing', 'frozen'];
  expect(passed.slice(0, 10)).toEqual(['starting', 'running', ...frozen, 'thawing', 'running', ...frozen]);
  const asleep = passed.indexOf('sleep idle');
  expect(passed.slice(asleep + 1, asleep + 7)).toEqual([
    ...['thawing', 'running', 'sleeping', 'asleep'],
    ...['admit room-found', 'waking'],
  ]);
  await work.close();
  await app.remove();
});

test('as many instances as the minimum says stay awake, and come back when a command puts them to sleep', async () => {
  const options = ['--idle', '500ms', '--instances', '1..2'];
  const kept = await launch(lab, 'kept', node.launch, options);
  const other = await launch(lab, 'other', node.launch, [...options, '--service', 'kept']);
  await reached('(kept|other)', 'asleep');
  const awake = async (): Promise<number> =>
    (await Promise.all([kept.state(), other.state()])).filter((state) => state === 'running').length;
  expect(await awake()).toBe(1);
  await Promise.allSettled([kept.sleep(), other.sleep()]);
  await eventually(async () => expect(await awake()).toBe(1), 20_000, 100);
  const decided = [...(await passages('kept')), ...(await passages('other'))];
  expect(decided).toContain('wake min-instances');
  await kept.remove();
  await other.remove();
});
