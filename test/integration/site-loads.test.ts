/** How busy services are, measured at a real HAProxy by the part of the daemon that tells the scheduler. */
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { Roster, Sites } from '../../src/application/index.ts';
import type { ChainSpec } from '../../src/api/index.ts';
import type { SiteLoad } from '../../src/application/index.ts';
import { createLogger } from '../../src/common/index.ts';
import type { ApplicationRecord } from '../../src/registry/index.ts';
import { eventually } from '../support/eventually.ts';
import { backend, load, makeGateway, serve, webSocket } from '../support/gateway.ts';
import { createLab } from '../support/lab.ts';
import type { Lab } from '../support/lab.ts';

const SITE = { host: '127.0.0.1', port: 8000 };

/** An instance at 127.0.1.LAST. */
const instance = (last: number, spec: Partial<ChainSpec> = {}): ApplicationRecord =>
  ({
    ...{ aid: `aid-${last}`, name: `shop-${last}`, address: `127.0.1.${last}`, epoch: 1 },
    ...{ state: 'running', since: '', createdAt: '', spec: { service: 'shop', sites: [SITE], ...spec } },
  }) as unknown as ApplicationRecord;

let lab: Lab;
beforeAll(async () => {
  lab = await createLab();
  await serve(lab, backend('one', 1), backend('two', 2));
});
afterAll(() => lab[Symbol.asyncDispose]());

const log = createLogger({ level: 'silent' });

const openSites = async (...records: ApplicationRecord[]): Promise<{ roster: Roster; sites: Sites }> => {
  const roster = new Roster(records);
  const sites = new Sites({ gateway: makeGateway(lab), roster, log }, { http: { port: 80 } });
  onTestFinished(() => sites.close({ end: true }));
  await sites.open();
  return { roster, sites };
};

const ask = (path = '/'): Promise<unknown> =>
  lab.exec('curl', ['--silent', '--fail', `http://127.0.0.1${path}`]);

test('tells rate, recent response time, and requests under way at each instance', async () => {
  const { sites } = await openSites(instance(1), instance(2));
  const measured = async (): Promise<SiteLoad> => {
    const found = (await sites.loads()).get('shop');
    if (found === undefined) throw new Error('the service is not measured');
    return found;
  };
  const counts = async (): Promise<number[]> =>
    [...(await measured()).open.values()].toSorted((one, other) => one - other);
  expect(await measured()).toMatchObject({ rate: 0, queue: 0, responseMs: null });
  for (let turn = 0; turn < 8; turn++) await ask('/slow?ms=100');
  const { responseMs, rate, open } = await measured();
  expect([responseMs, rate]).toEqual([expect.closeTo(110, -1.3), expect.closeTo(6, -1)]);
  expect([...open.keys()].toSorted()).toEqual(['aid-1', 'aid-2']);
  // Averages over the last thousand requests would hardly move.
  await eventually(async () => expect((await measured()).responseMs).toBeNull());
  for (let turn = 0; turn < 3; turn++) await ask();
  expect((await measured()).responseMs).toBeLessThan(30);

  const slow = ask('/slow?ms=1500');
  await eventually(async () => expect(await counts()).toEqual([0, 1]));
  await slow;
  expect(await counts()).toEqual([0, 0]);
  const socket = await webSocket(lab, 'ws://127.0.0.1/');
  expect(await counts()).toEqual([0, 0]);
  const beside = ask('/slow?ms=1500');
  await eventually(async () => expect(await counts()).toEqual([0, 1]));
  await beside;
  await socket.close();
  expect(await counts()).toEqual([0, 0]);
});

test('bounds the requests at once of each instance, and tells how many wait', async () => {
  const policy = { instances: { min: 0, max: 2, concurrency: 1 } } as ChainSpec['policy'];
  const { roster, sites } = await openSites(instance(1, { policy }));
  roster.onChange(() => sites.change());
  const waiting = Promise.all([1, 2, 3].map(() => ask('/slow?ms=1000')));
  await eventually(async () => expect((await sites.loads()).get('shop')).toMatchObject({ queue: 2 }));
  roster.apply('running', instance(2));
  await eventually(async () =>
    expect([...((await sites.loads()).get('shop')?.open.values() ?? [])]).toEqual([1, 1]),
  );
  await waiting;
  expect((await sites.loads()).get('shop')).toMatchObject({ queue: 0 });
});

test('follows the roster, many changes at a time, and is told again of what failed', async () => {
  const { roster, sites } = await openSites(instance(1));
  roster.onChange(() => sites.change());
  const loading = await load(lab, '127.0.0.1', 2);
  for (let turn = 2; turn < 200; turn++)
    roster.apply('running', { ...instance(2 - (turn % 2)), epoch: turn });
  roster.drain('aid-1');
  await roster.told();
  const before = await loading.stop();
  expect(before.failures).toEqual([]);
  const slow = await sites.loads();
  expect([...(slow.get('shop')?.open.keys() ?? [])].toSorted()).toEqual(['aid-1', 'aid-2']);
  const answers = await lab.exec('curl', ['--silent', 'http://127.0.0.1/[1-6]']);
  expect(answers.stdout.match(/"name":"\w+"/g)).toEqual(Array(6).fill('"name":"two"'));
});

test('is empty without a gateway, and when it does not answer', async () => {
  const roster = new Roster([instance(1)]);
  const none = new Sites({ gateway: undefined, roster, log }, {});
  await none.open();
  expect(await none.loads()).toEqual(new Map());
  const closed = new Sites({ gateway: makeGateway(lab), roster, log }, { http: { port: 80 } });
  expect(await closed.loads()).toEqual(new Map());
});
