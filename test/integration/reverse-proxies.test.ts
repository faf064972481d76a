/**
 * Reverse proxies that know nothing of sleepers, with the configurations of docs/gateway.md, in front of a server as it is and of one whose
 * address nobody answers for at first, as a sleeper's: its link is taken off the bridge, and put back while the request is held.
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { Gateway } from '../../src/gateway/index.ts';
import { eventually } from '../support/eventually.ts';
import { SITE, makeGateway, webSocket } from '../support/gateway.ts';
import { createLab } from '../support/lab.ts';
import type { Lab } from '../support/lab.ts';

const BRIDGE = 'proxied';
const ADDRESS = '10.97.0.2';
const PORT = 8080;
/** Longer than a kernel asks for an address if it is not told otherwise, and than Caddy waits if it is not. */
const LATE_MS = 4000;

/** The configuration in the documentation, in front of the server of the test and for a name that clients here know. */
const documented = (language: string): string => {
  const page = readFileSync(join(import.meta.dirname, '../../docs/gateway.md'), 'utf8');
  const block = new RegExp(`\`\`\`${language}\n(.*?)\`\`\``, 's').exec(page)?.[1] ?? '';
  return block.replace('10.10.0.2:8080', `${ADDRESS}:${PORT}`).replace('shop.example', '127.0.0.1');
};

let lab: Lab;

beforeAll(async () => {
  lab = await createLab();
  await lab.exec('ip', ['link', 'add', BRIDGE, 'type', 'bridge']);
  await lab.exec('ip', ['address', 'add', '10.97.0.1/24', 'dev', BRIDGE]);
  await lab.exec('ip', ['link', 'set', BRIDGE, 'up']);
  // As patient as the daemon makes its own bridge.
  for (const setting of ['mcast_solicit=480', 'retrans_time_ms=250'])
    await lab.exec('sysctl', ['--quiet', '--write', `net.ipv4.neigh.${BRIDGE}.${setting}`]);
  const attach = join(import.meta.dirname, '../../bench/attach.sh');
  const place = [lab.name, BRIDGE, 'server', `${ADDRESS}/24`];
  const server = await lab.talk('unshare', [
    '--net',
    'sh',
    attach,
    ...place,
    ...SITE,
    `late=${ADDRESS}:${PORT}`,
  ]);
  await server.hear(/^serving$/);
});
afterAll(() => lab[Symbol.asyncDispose]());

const link = (...change: string[]): Promise<unknown> => lab.exec('ip', ['link', 'set', 'server', ...change]);

/** From now on nobody answers for the address. */
const hide = async (): Promise<void> => {
  await link('nomaster');
  await lab.exec('ip', ['neigh', 'flush', 'dev', BRIDGE]);
};

const curl = async (): Promise<{ name: string; headers: Record<string, string> }> => {
  const { stdout } = await lab.exec('curl', ['--silent', '--show-error', '--fail', 'http://127.0.0.1/']);
  return JSON.parse(stdout) as { name: string; headers: Record<string, string> };
};

const startNginx = async (): Promise<void> => {
  const path = join(lab.directory, 'nginx.conf');
  const around = `daemon off; pid ${join(lab.directory, 'nginx.pid')}; error_log stderr; events { } http { access_log off;`;
  writeFileSync(path, `${around}\n${documented('nginx')}}\n`);
  const nginx = await lab.talk('nginx', ['-e', 'stderr', '-c', path]);
  onTestFinished(() => nginx.close());
};

const startCaddy = async (): Promise<void> => {
  const path = join(lab.directory, 'Caddyfile');
  writeFileSync(path, `{\n  admin off\n  auto_https off\n}\n${documented('caddy')}`);
  const home = join(lab.directory, 'home');
  mkdirSync(home, { recursive: true });
  const directories = ['HOME', 'XDG_CONFIG_HOME', 'XDG_DATA_HOME'].map((name) => `${name}=${home}`);
  const caddy = await lab.talk('env', [
    ...directories,
    'caddy',
    'run',
    '--config',
    path,
    '--adapter',
    'caddyfile',
  ]);
  onTestFinished(() => caddy.close());
};

const startGateway = async (): Promise<void> => {
  const gateway: Gateway = makeGateway(lab);
  onTestFinished(() => gateway.close());
  const backends = [{ name: 'late', address: ADDRESS, port: PORT, awake: false }];
  await gateway.apply({ http: { port: 80 }, sites: [{ host: '127.0.0.1', service: 'late', backends }] });
};

describe.each([
  ['nginx', startNginx],
  ['Caddy', startCaddy],
  ['the gateway', startGateway],
])('%s', (_, begin) => {
  test('serves, and waits for one that answers late', async () => {
    await begin();
    await eventually(async () => expect((await curl()).name).toBe('late'));
    expect((await curl()).headers['x-forwarded-for']).toBe('127.0.0.1');
    const socket = await webSocket(lab, 'ws://127.0.0.1/');
    socket.tell('hello');
    await socket.hear(/^late hello$/);

    // What is kept open for later requests would hold one of them over the old connection.
    await socket.close();
    await eventually(async () => {
      const { stdout } = await lab.exec('ss', ['-Htn', 'state', 'established', 'dst', `${ADDRESS}:${PORT}`]);
      expect(stdout).toBe('');
    }, 20_000);
    await hide();
    const began = performance.now();
    const held = curl();
    await pause(LATE_MS);
    await link('master', BRIDGE);
    expect((await held).name).toBe('late');
    expect(performance.now() - began).toBeGreaterThan(LATE_MS);
  });
});
