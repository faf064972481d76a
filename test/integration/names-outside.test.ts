/** Names of applications outside of them: in a hosts file that the daemon keeps, and by asking the name server of a network. */
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Client } from '../../src/api/client.ts';
import type { ChainSpec, CloneView } from '../../src/api/index.ts';
import { run } from '../../src/exec/index.ts';
import type { DaemonProcess } from '../support/daemon-process.ts';
import { eventually } from '../support/eventually.ts';
import { createLab } from '../support/lab.ts';
import type { Lab } from '../support/lab.ts';

const GATEWAY = '10.10.0.1';
const THEIRS = '127.0.0.1\tlocalhost shop\n# ours\n';
const NODE = join(import.meta.dirname, '../../scripts/node.sh');

let lab: Lab;
let daemon: DaemonProcess;
let client: Client;
let hosts: string;

const start = async (): Promise<void> => {
  daemon = await lab.daemon({ args: ['--hosts-file', hosts] });
};

beforeAll(async () => {
  lab = await createLab();
  hosts = join(lab.directory, 'hosts');
  await writeFile(hosts, THEIRS);
  await start();
  client = new Client(lab.runDirectory);
});

afterAll(async () => {
  await lab[Symbol.asyncDispose]();
});

const specOf = (name: string, more: Partial<ChainSpec> = {}): ChainSpec =>
  ({
    name,
    processes: [{ name, command: ['python3', '-m', 'http.server', '8080'] }],
    ...more,
  }) as ChainSpec;

const text = (): Promise<string> => readFile(hosts, 'utf8');

/** The lines of the daemon's block. */
const block = async (): Promise<string[]> => {
  const [, lines = ''] = /# BEGIN appshot .*\n#.*\n((?:.*\n)*)# END appshot .*\n/.exec(await text()) ?? [];
  return lines.split('\n').filter((line) => line !== '');
};

const nameless = (lines: readonly string[]): string[] =>
  lines.map((line) => line.split('\t')[0] ?? '').toSorted();

/** Runs a program on this machine that finds names in these files. */
const seeing = async (files: Readonly<Record<string, string>>, ...command: string[]): Promise<string> => {
  const entries = Object.entries({ 'nsswitch.conf': 'hosts: files dns\n', ...files });
  for (const [name, content] of entries) await writeFile(join(lab.directory, `etc-${name}`), content);
  const mounts = entries.map(
    ([name]) => `mount --bind '${join(lab.directory, `etc-${name}`)}' /etc/${name} && `,
  );
  const script = `${mounts.join('')}exec "$@"`;
  const { stdout } = await lab.exec('unshare', [
    ...['--mount', '--propagation', 'private'],
    ...['sh', '-c', script, 'sh', ...command],
  ]);
  return stdout.trim();
};

const curl = (host: string): string[] => [
  ...['curl', '-s', '-o', '/dev/null', '-w', '%{http_code}', '--max-time', '20'],
  ...['--retry', '20', '--retry-connrefused', `http://${host}:8080/`],
];

/** What a client that asks a network's name server gets: addresses, or an error's code. */
const asked = async (name: string, server = GATEWAY): Promise<string[]> => {
  const script = `
const resolver = new (require('node:dns').promises.Resolver)({ timeout: 2000, tries: 2 });
resolver.setServers(['${server}']);
resolver.resolve4('${name}').catch(({ code }) => [code]).then((all) => console.log(JSON.stringify(all.sort())));`;
  return JSON.parse((await lab.exec(NODE, ['-e', script])).stdout) as string[];
};

describe('an application', () => {
  let web: string;

  beforeAll(async () => {
    web = (await client.run(specOf('web'))).address;
    // Only what listens is woken.
    await lab.exec('curl', curl(web).slice(1));
    await eventually(async () => {
      if ((await block()).length !== 1) throw new Error('its names are not there');
    });
  });

  test('is in the hosts file, and what others wrote stays', async () => {
    expect(await block()).toEqual([`${web}\tweb.default.appshot.internal web.appshot.internal web`]);
    expect((await text()).startsWith(THEIRS)).toBe(true);
  });

  test.each(['web', 'web.default.appshot.internal'])(
    'is woken by its name in that file, %s',
    async (name) => {
      await client.sleep('web');
      expect(await seeing({ hosts: await text(), 'resolv.conf': '' }, ...curl(name))).toBe('200');
      expect((await client.inspect('web')).state).toBe('running');
    },
  );

  test('is woken by its name when programs ask the gateway', async () => {
    await client.sleep('web');
    expect(await asked('web.default.appshot.internal')).toEqual([web]);
    expect((await client.inspect('web')).state).toBe('asleep');
    const resolver = `nameserver ${GATEWAY}\nsearch default.appshot.internal\n`;
    expect(await seeing({ hosts: THEIRS, 'resolv.conf': resolver }, ...curl('web'))).toBe('200');
    expect((await client.inspect('web')).state).toBe('running');
  });

  test('is in it again with the next daemon, whatever became of the file', async () => {
    await daemon.kill();
    const [before] = [await text()];
    await writeFile(hosts, `${before.replace(web, '10.9.9.9').replaceAll('web', 'gone')}192.0.2.1 later\n`);
    await start();
    await eventually(async () => expect(await text()).toBe(`${before}192.0.2.1 later\n`));
  });

  test('stays in it when a daemon ends, and goes when it is removed', async () => {
    await daemon.stop();
    expect(await block()).toHaveLength(1);
    await start();
    await client.remove('web', { force: true });
    await eventually(async () => expect(await text()).toBe(`${THEIRS}192.0.2.1 later\n`));
  });
});

describe('a service', () => {
  let clones: CloneView[];
  let addresses: string[];

  beforeAll(async () => {
    await client.createNetwork({ name: 'blue', cidr: '10.60.0.0/24' });
    await client.run(specOf('shop'));
    await client.run(specOf('lone', { network: 'blue', service: 'shop' }));
    await client.createTemplate({ name: 'warm', from: 'shop' });
    clones = await client.clone('warm', { count: 3, service: 'shop' });
    const { address } = await client.inspect('shop');
    addresses = [address, ...clones.map((one) => one.address)].toSorted();
  });

  test('is all of its instances, of each network apart, also when they sleep', async () => {
    for (const { name } of clones) await client.sleep(name);
    expect(await asked('shop.appshot.internal')).toEqual(addresses);
    expect(await asked('SHOP.default.appshot.internal')).toEqual(addresses);
    expect(await asked('shop.blue.appshot.internal', '10.60.0.1')).toEqual(['10.60.0.2']);
    expect(await asked('shop.blue.appshot.internal')).toEqual(['ENOTFOUND']);
    expect(await asked('nobody.appshot.internal')).toEqual(['ENOTFOUND']);
  });

  test('is in the hosts file, but for a name that others have there', async () => {
    await eventually(async () =>
      expect(nameless(await block())).toEqual([...addresses, '10.60.0.2'].toSorted()),
    );
    const lines = await block();
    expect(lines.filter((line) => line.includes('shop.default.appshot.internal'))).toHaveLength(4);
    expect(lines.filter((line) => /\sshop(\s|$)/.test(line))).toEqual([]);
    expect(lines.find((line) => line.startsWith('10.60.0.2'))).toBe(
      '10.60.0.2\tlone.blue.appshot.internal shop.blue.appshot.internal',
    );
    const found = await seeing(
      { hosts: await text(), 'resolv.conf': '' },
      ...['getent', 'ahostsv4', 'shop.default.appshot.internal'],
    );
    const all = found.split('\n').map((line) => line.split(' ')[0] ?? '');
    expect([...new Set(all)].toSorted()).toEqual(addresses);
  });
});

describe('a hosts file that cannot be written', () => {
  const complaints = async (): Promise<number> =>
    (await readFile(lab.log, 'utf8')).split('\n').filter((line) => line.includes('hosts file')).length;

  test('is told of once, keeps nobody from anything, and is written at the next change', async () => {
    const before = await text();
    await run('mount', ['--bind', hosts, hosts]);
    await run('mount', ['-o', 'remount,bind,ro', hosts]);
    try {
      const { address } = await client.run(specOf('late'));
      await eventually(async () => expect(await complaints()).toBe(1));
      expect(await asked('late.appshot.internal')).toEqual([address]);
      await client.sleep('late');
      expect(await text()).toBe(before);
    } finally {
      // The daemon may be trying just now.
      await run('umount', ['--lazy', hosts]);
    }
    expect(await complaints()).toBe(1);
    await client.wake('late');
    await eventually(async () => expect((await block()).join('\n')).toContain('late.appshot.internal'));
  });
});
