/**
 * Names, asked for by the programs that people have: glibc's resolver, Python and Node, from another network namespace than the
 * name server's, as applications are. And the hosts file where it is a mount, as in containers.
 */
import { readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { run } from '../../src/exec/index.ts';
import { HostsFile, resolverFile } from '../../src/names/index.ts';
import type { NamedInstance } from '../../src/names/index.ts';
import type { Dialogue } from '../support/dialogue.ts';
import { createLab } from '../support/lab.ts';
import type { Lab } from '../support/lab.ts';

const GATEWAY = '10.77.0.1';
const CIDR = '10.77.0.0/16';
const OUTSIDE = '192.0.2.53';

const root = join(import.meta.dirname, '../..');
const NODE = join(root, 'scripts/node.sh');
const fixture = (name: string): string => join(root, 'test/fixtures', name);

const instance = (name: string, last: number, service = name): NamedInstance => ({
  name,
  hostname: name,
  service,
  network: 'default',
  address: `10.77.${last >> 8}.${last & 255}`,
});
const INSTANCES = [
  instance('db', 16),
  ...[17, 18, 19].map((last) => instance(`web-${last}`, last, 'web')),
  ...Array.from({ length: 200 }, (_, index) => instance(`many-${index}`, 256 + index, 'many')),
];
const FAR = [{ ...instance('shop', 0), address: '192.0.2.80' }];

let machine: Lab;
let application: Lab;
const servers: Dialogue[] = [];

/** The files that tell programs how to look up names. */
const files = async (more = ''): Promise<string[]> => {
  const texts = {
    'resolv.conf': resolverFile(GATEWAY, 'default') + more,
    'nsswitch.conf': 'hosts: files dns\n',
    hosts: '127.0.0.1 localhost\n',
  };
  return Promise.all(
    Object.entries(texts).map(async ([name, text]) => {
      const path = join(application.directory, name);
      await writeFile(path, text);
      return path;
    }),
  );
};

const MOUNT =
  'mount --bind "$1" /etc/resolv.conf && mount --bind "$2" /etc/nsswitch.conf && mount --bind "$3" /etc/hosts && shift 3 && exec "$@"';

/** What a program prints that runs beside the application, with these files as its own. */
const printed = async (places: readonly string[], ...command: string[]): Promise<string> => {
  const apart = ['--mount', '--propagation', 'private', 'sh', '-c', MOUNT, 'sh', ...places, ...command];
  const { stdout } = await application.exec('unshare', apart, { acceptExit: [0, 2] });
  return stdout.trim();
};

/** The addresses that getent finds, each once. */
const addressesBy = async (places: readonly string[], name: string): Promise<string[]> => {
  const lines = (await printed(places, 'getent', 'ahostsv4', name)).split('\n');
  return [...new Set(lines.map((line) => line.split(' ')[0] ?? ''))].toSorted();
};

const serve = async (gateway: string, cidr: string, instances: NamedInstance[], ...forwardTo: string[]) => {
  const args = [fixture('name-server.ts'), gateway, cidr, JSON.stringify(instances), ...forwardTo];
  const server = await machine.talk(NODE, args);
  servers.push(server);
  await server.hear(/^ready$/);
};

beforeAll(async () => {
  machine = await createLab();
  application = await createLab();
  await machine.exec('ip', [
    'link',
    'add',
    'app0',
    'type',
    'veth',
    'peer',
    'eth0',
    'netns',
    application.name,
  ]);
  await machine.exec('ip', ['addr', 'add', `${GATEWAY}/16`, 'dev', 'app0']);
  await machine.exec('ip', ['addr', 'add', `${OUTSIDE}/32`, 'dev', 'lo']);
  await machine.exec('ip', ['link', 'set', 'app0', 'up']);
  await application.exec('ip', ['addr', 'add', '10.77.0.16/16', 'dev', 'eth0']);
  await application.exec('ip', ['link', 'set', 'eth0', 'up']);
  await serve(GATEWAY, CIDR, INSTANCES, OUTSIDE);
  await serve(OUTSIDE, '192.0.2.0/24', FAR);
});

afterAll(async () => {
  for (const server of servers) await server.close();
  await application[Symbol.asyncDispose]();
  await machine[Symbol.asyncDispose]();
});

describe('glibc', () => {
  it.each(['db', 'db.appshot.internal', 'DB.default.appshot.internal.'])(
    'finds an application as %s',
    async (name) => expect(await addressesBy(await files(), name)).toEqual(['10.77.0.16']),
  );

  it('finds all instances of a service, by TCP when there are many or it is told to', async () => {
    const web = ['10.77.0.17', '10.77.0.18', '10.77.0.19'];
    expect(await addressesBy(await files(), 'web')).toEqual(web);
    expect(await addressesBy(await files(), 'many')).toHaveLength(200);
    const byTcp = await files('options use-vc\n');
    expect(await addressesBy(byTcp, 'web')).toEqual(web);
    expect(await addressesBy(byTcp, 'many')).toHaveLength(200);
  });

  // By gethostbyname: getaddrinfo sorts what it gets, the address nearest to the asker's first.
  it('is given different instances of a service first', async () => {
    const places = await files();
    const firsts = new Set<string>();
    for (let turn = 0; turn < 60 && firsts.size < 3; turn += 1)
      firsts.add((await printed(places, 'getent', 'hosts', 'web')).split(' ')[0] ?? '');
    expect([...firsts].toSorted()).toEqual(['10.77.0.17', '10.77.0.18', '10.77.0.19']);
  });

  it('finds the name of an address', async () => {
    expect(await printed(await files(), 'getent', 'hosts', '10.77.0.16')).toMatch(
      / db\.default\.appshot\.internal$/,
    );
    expect(await printed(await files(), 'getent', 'hosts', GATEWAY)).toBe('');
  });

  it('finds nothing under names that nobody has, at once', async () => {
    const begun = performance.now();
    for (const name of ['nobody', 'nobody.appshot.internal', 'web.blue.appshot.internal'])
      expect(await printed(await files(), 'getent', 'ahosts', name)).toBe('');
    expect(performance.now() - begun).toBeLessThan(4000);
  });
});

const PYTHON = `
import json, socket
def ask(name):
    try: return sorted({each[4][0] for each in socket.getaddrinfo(name, 80)})
    except socket.gaierror as error: return {socket.EAI_NONAME: 'no name', socket.EAI_NODATA: 'no data'}.get(error.errno, str(error))
names = ['db', 'web', 'nobody', 'nobody.appshot.internal', 'shop.appshot.internal', '80.2.0.192.in-addr.arpa']
print(json.dumps([ask(name) for name in names[:4]] + [socket.gethostbyaddr('10.77.0.17')[0], socket.gethostbyaddr('192.0.2.80')[0]]))
`;

it('Python finds names, and by their absence that there are none', async () => {
  expect(JSON.parse(await printed(await files(), '/usr/bin/python3', '-c', PYTHON))).toEqual([
    ['10.77.0.16'],
    ['10.77.0.17', '10.77.0.18', '10.77.0.19'],
    'no name',
    'no name',
    'web-17.default.appshot.internal',
    // Of an address elsewhere the server outside was asked.
    'shop.default.appshot.internal',
  ]);
});

const SCRIPT = `
const dns = require('node:dns').promises;
const asked = [dns.lookup('db'), dns.resolve4('web.appshot.internal'), dns.reverse('10.77.0.16'),
  dns.resolve6('db.appshot.internal').catch(({ code }) => code), dns.resolve4('no.appshot.internal').catch(({ code }) => code)];
Promise.all(asked).then((all) => console.log(JSON.stringify(all)));
`;

it('Node finds names by its own resolver and by that of the system', async () => {
  const [lookup, web, ...rest] = JSON.parse(await printed(await files(), NODE, '-e', SCRIPT)) as [
    unknown,
    string[],
  ];
  expect(lookup).toEqual({ address: '10.77.0.16', family: 4 });
  expect(web.toSorted()).toEqual(['10.77.0.17', '10.77.0.18', '10.77.0.19']);
  expect(rest).toEqual([['db.default.appshot.internal'], 'ENODATA', 'ENOTFOUND']);
});

describe('a second name server', () => {
  it('on the same address says that the port is taken', async () => {
    const args = [fixture('name-server.ts'), GATEWAY, CIDR, '[]'];
    const { stderr } = await machine.exec(NODE, args, { acceptExit: [1] });
    expect(stderr).toContain(`the name server of default cannot listen on ${GATEWAY} port 53 (UDP)`);
  });
});

describe('the hosts file', () => {
  const ENTRIES = [{ address: '10.77.0.16', names: ['db', 'db.appshot.internal'] }];

  it('is written in place where it is a mount, and programs find the names in it', async () => {
    const [resolver = '', nsswitch = '', hosts = ''] = await files();
    await writeFile(resolver, 'nameserver 127.0.0.9\n');
    const place = join(machine.directory, 'hosts');
    await writeFile(place, '');
    await run('mount', ['--bind', hosts, place]);
    const { ino } = await stat(hosts);
    try {
      await new HostsFile(place, 'here').write(ENTRIES);
      expect((await stat(hosts)).ino).toBe(ino);
      expect(await readFile(hosts, 'utf8')).toMatch(/^127\.0\.0\.1 localhost\n# BEGIN appshot here\n/);
      const seen = [resolver, nsswitch, place];
      expect(await addressesBy(seen, 'db')).toEqual(['10.77.0.16']);
      expect(await printed(seen, 'getent', 'hosts', '10.77.0.16')).toMatch(/\bdb db\.appshot\.internal$/);
      await new HostsFile(place, 'here').clear();
      expect(await readFile(hosts, 'utf8')).toBe('127.0.0.1 localhost\n');
    } finally {
      await run('umount', [place]);
    }
  });

  it('keeps what several processes write at once', async () => {
    const path = join(machine.directory, 'shared');
    await writeFile(path, '127.0.0.1 localhost\n');
    const owners = ['one', 'two', 'three'];
    await Promise.all(owners.map((owner) => run(NODE, [fixture('hosts-writer.ts'), path, owner, '8'])));
    const text = await readFile(path, 'utf8');
    for (const owner of owners) expect(text).toContain(`\n10.0.0.8\t${owner}\n# END appshot ${owner}\n`);
    expect(text.startsWith('127.0.0.1 localhost\n')).toBe(true);
  });
});
