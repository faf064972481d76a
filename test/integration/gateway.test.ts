/** The gateway with a real HAProxy, real sites and real clients, in a network namespace without a way out. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import type { AppShotError } from '../../src/common/index.ts';
import { Gateway } from '../../src/gateway/index.ts';
import type { Backend, GatewayOptions, GatewayPlan, Site } from '../../src/gateway/index.ts';
import { eventually } from '../support/eventually.ts';
import {
  backend,
  gatewayDirectory,
  load,
  makeGateway,
  selfSigned,
  serve,
  webSocket,
} from '../support/gateway.ts';
import { createLab } from '../support/lab.ts';
import type { Lab } from '../support/lab.ts';

const [one, two, three] = [backend('one', 1), backend('two', 2), backend('three', 3)];
/** Nobody listens there. */
const nobody = backend('nobody', 99);

let lab: Lab;
beforeAll(async () => {
  lab = await createLab();
  await serve(lab, one, two, three);
});
afterAll(() => lab[Symbol.asyncDispose]());

const open = (options: Partial<GatewayOptions> = {}): Gateway => {
  const gateway = makeGateway(lab, options);
  onTestFinished(() => gateway.close());
  return gateway;
};

const site = (
  host: string,
  service: string,
  backends: readonly Backend[],
  more: Partial<Site> = {},
): Site => ({
  ...{ host, service, backends },
  ...more,
});
const http = { address: '127.0.0.1', port: 80 };
const plan = (...sites: Site[]): GatewayPlan => ({ http, sites });

/** Status and body of one request to a site. */
const ask = async (
  host: string,
  path = '/',
  ...args: string[]
): Promise<{ status: number; body: string }> => {
  const { stdout } = await lab.exec('curl', [
    ...['--silent', '--show-error', '--insecure', '--max-time', '30', '--write-out', '\n%{http_code}'],
    ...['--resolve', '*:80:127.0.0.1', '--resolve', '*:443:127.0.0.1', ...args],
    host.startsWith('http') ? host + path : `http://${host}${path}`,
  ]);
  const end = stdout.lastIndexOf('\n');
  return { status: Number(stdout.slice(end + 1)), body: stdout.slice(0, end) };
};
/** The name of the backend that answers. */
const whoIs = async (host: string, path = '/', ...args: string[]): Promise<string> =>
  (JSON.parse((await ask(host, path, ...args)).body) as { name: string }).name;

const masterPid = (): number =>
  (JSON.parse(readFileSync(join(gatewayDirectory(lab), 'gateway.json'), 'utf8')) as { pid: number }).pid;
const workerPids = (): number[] =>
  readFileSync(`/proc/${masterPid()}/task/${masterPid()}/children`, 'utf8').trim().split(' ').map(Number);

test('sites are found by name, star and path, and others are told that there is none', async () => {
  const gateway = open();
  await gateway.apply(
    plan(
      site('shop.example', 'shop', [one]),
      site('*.shop.example', 'tenants', [two]),
      site('shop.example', 'api', [three], { path: '/api' }),
    ),
  );
  expect(await whoIs('shop.example')).toBe('one');
  expect(await whoIs('SHOP.example.')).toBe('one');
  expect(await whoIs('http://shop.example:80', '/apis')).toBe('one');
  expect(await whoIs('shop.example', '/api')).toBe('three');
  expect(await whoIs('shop.example', '/api/x?y=/')).toBe('three');
  expect(await whoIs('shop.example', '/api', '--header', 'Host: Shop.example:8080')).toBe('three');
  expect(await whoIs('a.shop.example', '/api')).toBe('two');
  for (const other of ['b.a.shop.example', 'other.example', '127.0.0.1'])
    expect(await ask(other)).toEqual({ status: 404, body: 'no site has this name here\n' });
  const misleading = await ask('shop.example', '/', '--header', 'Host: evil/a.shop.example');
  expect([400, 404]).toContain(misleading.status);
  expect(await ask('shop.example', '/', '--http1.0', '--header', 'Host:')).toMatchObject({ status: 404 });
});

test('headers tell the client and the scheme, whatever the client says', async () => {
  const gateway = open();
  await gateway.apply(plan(site('shop.example', 'shop', [one])));
  const lies = [
    ...['X-Forwarded-For: 1.2.3.4', 'x-forwarded-PROTO: https', 'Forwarded: for=1.2.3.4'],
    ...['X-FORWARDED-Host: evil.example', 'X-Forwarded-Port: 1', 'X-Real-IP: 1.2.3.4'],
  ];
  const { body } = await ask('shop.example', '/', ...lies.flatMap((lie) => ['--header', lie]));
  const { headers } = JSON.parse(body) as { headers: Record<string, string> };
  expect(headers).toMatchObject({
    host: 'shop.example',
    'x-forwarded-for': '127.0.0.1',
    'x-forwarded-proto': 'http',
  });
  const others = Object.keys(headers).filter((name) => /forwarded|real/.test(name));
  expect(others.toSorted()).toEqual(['x-forwarded-for', 'x-forwarded-proto']);
});

test('TLS with the certificate of the name, HTTP/2, and a redirect', async () => {
  const gateway = open();
  const certificates = await selfSigned(join(lab.directory, 'certificates'), 'shop.pem', 'shop.example');
  await selfSigned(certificates, 'blog.pem', 'blog.example', '*.blog.example');
  const https = { address: '127.0.0.1', port: 443 };
  const sites = [site('shop.example', 'shop', [one]), site('blog.example', 'blog', [two])];
  await gateway.apply({ http, https, certificates, redirect: true, sites });
  for (const host of ['shop.example', 'blog.example']) {
    const ca = ['--cacert', join(certificates, `${host.split('.')[0]}.pem`)];
    const { stdout } = await lab.exec('curl', [
      ...['--silent', '--http2', ...ca, '--resolve', '*:443:127.0.0.1'],
      ...['--write-out', '%{http_version}', `https://${host}/`],
    ]);
    expect(stdout).toMatch(/"x-forwarded-proto":"https".*\n2$/s);
  }
  const redirected = await ask(
    'shop.example',
    '/a?b=c',
    '--output',
    '/dev/null',
    '--write-out',
    '%{redirect_url}\n%{http_code}',
  );
  expect(redirected).toEqual({ status: 308, body: expect.stringContaining('https://shop.example/a?b=c') });
  expect((await ask('other.example')).status).toBe(404);

  await selfSigned(certificates, 'new.pem', 'new.example');
  await gateway.apply({ http, https, certificates, sites: [...sites, site('new.example', 'new', [three])] });
  await lab.exec('curl', [
    '--silent',
    '--fail',
    '--cacert',
    join(certificates, 'new.pem'),
    '--resolve',
    '*:443:127.0.0.1',
    'https://new.example/',
  ]);
  expect(await whoIs('shop.example')).toBe('one');

  writeFileSync(join(certificates, 'new.pem'), 'no certificate');
  await expect(gateway.apply({ http, https, certificates, sites: [] })).rejects.toMatchObject({
    code: 'BAD_CERTIFICATE',
  });
  expect(await whoIs('https://shop.example', '/', '--http1.1')).toBe('one');
});

test('a WebSocket goes through, plain and encrypted', async () => {
  const gateway = open();
  const certificates = await selfSigned(join(lab.directory, 'certificates-ws'), 'ws.pem', 'ws.example');
  const https = { address: '127.0.0.1', port: 443 };
  await gateway.apply({ http, https, certificates, sites: [site('127.0.0.1', 'shop', [one])] });
  for (const scheme of ['ws', 'wss']) {
    const socket = await webSocket(lab, `${scheme}://127.0.0.1/`);
    socket.tell('hello');
    const [heard] = await socket.hear(/^.*hello$/);
    expect(heard).toBe('one hello');
    await socket.close();
  }
});

const CAST = [[one, two], [two, three], [three], [one]];

test('twenty changes of backends and sites under load fail no request and cut no connection', async () => {
  const gateway = open();
  const shop = (backends: readonly Backend[]): Site => site('127.0.0.1', 'shop', backends);
  await gateway.apply(plan(shop([one])));
  const socket = await webSocket(lab, 'ws://127.0.0.1/');
  const download = ask('127.0.0.1', '/large');
  const loading = await load(lab, '127.0.0.1');
  const workers = new Set<number>();
  for (let round = 1; round <= 20; round++) {
    const others = Array.from({ length: round % 7 }, (_, index) =>
      site(`s${round}-${index}.example`, `s${round}-${index}`, [two]),
    );
    // Another address to listen at needs a reload, as more new sites than there are spare pools do.
    const listen = round % 5 === 0 ? { http: { ...http, address: '0.0.0.0' } } : {};
    await gateway.apply({ ...plan(shop(CAST[round % 4] ?? []), ...others), ...listen });
    for (const pid of workerPids()) workers.add(pid);
    for (const { host } of others) expect(await whoIs(host)).toBe('two');
    socket.tell(`round ${round}`);
    await socket.hear(new RegExp(`^one round ${round}$`));
  }
  const { answers, failures } = await loading.stop();
  expect(failures).toEqual([]);
  expect(answers).toBeGreaterThan(100);
  await lab.exec('curl', ['--silent', `http://${one.address}:${one.port}/enough`]);
  expect((await download).body).toMatch(/xend\n$/);
  expect(workers.size).toBeGreaterThan(5);
  await socket.close();
  // The old workers end with the last of their connections.
  await eventually(() => expect(workerPids()).toHaveLength(1));
});

test('changes of backends, names and sites need no reload', async () => {
  const gateway = open();
  await gateway.apply(plan(site('shop.example', 'shop', [one])));
  const workers = workerPids();
  await gateway.apply(
    plan(
      site('shop.example', 'shop', [one, two, three], { concurrency: 3 }),
      site('new.example', 'new', [two]),
    ),
  );
  expect(await whoIs('new.example')).toBe('two');
  await gateway.apply(
    plan(
      site('renamed.example', 'shop', [two]),
      site('new.example', 'new', [{ ...two, address: three.address }]),
    ),
  );
  expect([await whoIs('renamed.example'), await whoIs('new.example')]).toEqual(['two', 'three']);
  expect((await ask('shop.example')).status).toBe(404);
  await gateway.apply(plan());
  expect((await ask('new.example')).status).toBe(404);
  expect(workerPids()).toEqual(workers);
});

test('sleepers are asked only when nobody is awake, and then one of them', async () => {
  const gateway = open();
  const asleep = (who: Backend): Backend => ({ ...who, awake: false });
  const answered = async (): Promise<string[]> => {
    const names = new Set<string>();
    for (let turn = 0; turn < 6; turn++) names.add(await whoIs('shop.example'));
    return [...names].toSorted();
  };
  await gateway.apply(plan(site('shop.example', 'shop', [asleep(one), two, three])));
  expect(await answered()).toEqual(['three', 'two']);
  await gateway.apply(plan(site('shop.example', 'shop', [asleep(one), asleep(two), asleep(three)])));
  expect(await answered()).toEqual(['one']);
  await gateway.apply(plan(site('shop.example', 'shop', [asleep(one), asleep(two), three])));
  expect(await answered()).toEqual(['three']);
});

test('a backend that refuses is told in one line, unless another one answers', async () => {
  const gateway = open();
  await gateway.apply(plan(site('shop.example', 'shop', [nobody]), site('empty.example', 'empty', [])));
  const unavailable = { status: 503, body: 'no instance of this site answers\n' };
  expect(await ask('shop.example')).toEqual(unavailable);
  expect(await ask('empty.example')).toEqual(unavailable);
  await gateway.apply(plan(site('shop.example', 'shop', [nobody, two])));
  for (let turn = 0; turn < 4; turn++) expect(await whoIs('shop.example')).toBe('two');
});

test('idle connections to a backend are closed soon, so that nothing is left to close when it sleeps', async () => {
  const gateway = open();
  await gateway.apply(plan(site('127.0.0.1', 'shop', [one])));
  await lab.exec('wrk', ['--connections', '8', '--duration', '1s', 'http://127.0.0.1/']);
  await eventually(async () => {
    const { stdout } = await lab.exec('ss', [
      '-Htn',
      'state',
      'established',
      'dst',
      `${one.address}:${one.port}`,
    ]);
    expect(stdout).toBe('');
  }, 20_000);
});

test('measurements are those of the traffic', async () => {
  const gateway = open();
  await gateway.apply(
    plan(
      site('shop.example', 'shop', [one, two]),
      site('bounded.example', 'bounded', [three], { concurrency: 1 }),
      site('dead.example', 'dead', [nobody]),
    ),
  );
  const of = async (service: string) => {
    const found = (await gateway.statistics()).find((each) => each.service === service);
    if (found === undefined) throw new Error(`${service} is not measured`);
    return found;
  };
  const began = performance.now();
  for (let turn = 0; turn < 10; turn++) await ask('shop.example', '/slow?ms=50');
  const each = (performance.now() - began) / 10;
  const shop = await of('shop');
  expect(shop).toMatchObject({ requests: 10, sessions: 0, queue: 0, connectErrors: 0, serverErrors: 0 });
  expect(shop.responseMs).toBeGreaterThanOrEqual(50);
  // A slow machine is slow for the client too, who waits for more; HAProxy rounds up.
  expect(shop.responseMs).toBeLessThanOrEqual(each + 1);
  expect(shop.requestsPerSecond).toBeGreaterThan(3);
  expect(shop.backends.map(({ name, requests }) => [name, requests])).toEqual([
    ['one', 5],
    ['two', 5],
  ]);

  const asked = Promise.all([1, 2, 3].map(() => ask('bounded.example', '/slow?ms=400')));
  await eventually(async () => expect(await of('bounded')).toMatchObject({ sessions: 3, queue: 2 }));
  await asked;
  expect((await of('bounded')).queueMs).toBeGreaterThan(200);

  await ask('dead.example');
  expect(await of('dead')).toMatchObject({ requests: 1, serverErrors: 1 });
  expect((await of('dead')).connectErrors).toBeGreaterThan(0);
});

test.each(['worker', 'master'])('a killed %s is replaced at once', async (which) => {
  const told: AppShotError[] = [];
  const gateway = open({ failed: (error) => told.push(error) });
  await gateway.apply(plan(site('shop.example', 'shop', [one])));
  await gateway.apply(plan(site('shop.example', 'shop', [two])));
  process.kill(which === 'master' ? masterPid() : (workerPids()[0] ?? 0), 'SIGKILL');
  const began = performance.now();
  await eventually(() => expect(told).toHaveLength(1));
  expect(told[0]).toMatchObject({ code: 'GATEWAY_FAILED' });
  await eventually(async () => expect(await whoIs('shop.example')).toBe('two'));
  expect(performance.now() - began).toBeLessThan(5000);
  await gateway.apply(plan(site('shop.example', 'shop', [three])));
  expect(await whoIs('shop.example')).toBe('three');
  expect((await gateway.statistics())[0]?.requests).toBeGreaterThan(0);
});

test('the next gateway takes over what one left running, without a break', async () => {
  const first = open();
  await first.apply(plan(site('127.0.0.1', 'shop', [one])));
  const pid = masterPid();
  const socket = await webSocket(lab, 'ws://127.0.0.1/');
  const loading = await load(lab, '127.0.0.1');
  await first.release();
  expect(await whoIs('127.0.0.1')).toBe('one');
  const told: AppShotError[] = [];
  const second = open({ failed: (error) => told.push(error) });
  await second.apply(plan(site('127.0.0.1', 'shop', [two])));
  expect(masterPid()).toBe(pid);
  expect(await whoIs('127.0.0.1')).toBe('two');
  expect((await loading.stop()).failures).toEqual([]);
  socket.tell('still');
  await socket.hear(/^one still$/);
  await socket.close();
  // It is no child of ours, and is watched all the same.
  process.kill(pid, 'SIGKILL');
  await eventually(() => expect(told).toHaveLength(1));
  await eventually(async () => expect(await whoIs('127.0.0.1')).toBe('two'));
  await second.close();
  await expect(lab.connect('127.0.0.1', 80)).rejects.toMatchObject({ code: 'ECONNREFUSED' });
});

test('what cannot be started or listened at is told, and what ran goes on', async () => {
  const missing = open({ program: '/nowhere/haproxy' });
  await expect(missing.apply(plan())).rejects.toMatchObject({
    code: 'GATEWAY_FAILED',
    message: /\/nowhere\/haproxy/,
  });
  const gateway = open();
  const taken = { address: one.address, port: one.port };
  await expect(gateway.apply({ http: taken, sites: [] })).rejects.toMatchObject({
    code: 'GATEWAY_FAILED',
    message: /Address already in use/,
  });
  await expect(gateway.statistics()).rejects.toMatchObject({ code: 'GATEWAY_FAILED' });
  const shop = site('shop.example', 'shop', [one]);
  await gateway.apply(plan(shop));
  await expect(gateway.apply({ http: taken, sites: [shop] })).rejects.toMatchObject({
    code: 'GATEWAY_FAILED',
    message: /Address already in use/,
  });
  await expect(gateway.apply(plan(site('no host', 'shop', [])))).rejects.toMatchObject({ code: 'BAD_SITE' });
  expect(await whoIs('shop.example')).toBe('one');
  await gateway.apply(plan(site('shop.example', 'shop', [two])));
  expect(await whoIs('shop.example')).toBe('two');
});

test('workers have no rights and no files', async () => {
  const gateway = open();
  await gateway.apply(plan(site('shop.example', 'shop', [one])));
  const status = readFileSync(`/proc/${workerPids()[0]}/status`, 'utf8');
  expect(status).toMatch(/^CapEff:\s+0+$/m);
  expect(status).not.toMatch(/^Uid:\s+0/m);
});
