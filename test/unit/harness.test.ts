/** What a chain is given, without starting one: capabilities, users, the specification's bytes, the identity's files. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { ChainSpec } from '../../src/api/index.ts';
import {
  capabilityMask,
  checkSpecification,
  findUser,
  logFile,
  readOwnRules,
  writeIdentityFiles,
} from '../../src/harness/index.ts';
import { encodeSpecification } from '../../src/harness/specification.ts';

const failsWith = (code: string, text: string) =>
  expect.objectContaining({ code, message: expect.stringContaining(text) as string }) as Error;

describe('the capabilities of a program', () => {
  const hex = (add: readonly string[], drop: readonly string[] = []): string =>
    capabilityMask({ add, drop }).toString(16).padStart(16, '0');

  it("are a container's by default", () => {
    // As /proc/PID/status shows them in a container of Docker.
    expect(hex([])).toBe('00000000a80425fb');
  });

  it.each([
    ['one more', ['SYS_ADMIN'], [], '00000000a82425fb'],
    ['one more, with its prefix', ['CAP_SYS_ADMIN'], [], '00000000a82425fb'],
    ['one that is there', ['KILL'], [], '00000000a80425fb'],
    ['one less', [], ['CHOWN'], '00000000a80425fa'],
    ['none', [], ['ALL'], '0000000000000000'],
    ['one of none', ['NET_BIND_SERVICE'], ['ALL'], '0000000000000400'],
    ['all', ['ALL'], [], '000001ffffffffff'],
    ['all but one', ['ALL'], ['CHECKPOINT_RESTORE'], '000000ffffffffff'],
    ['one added and dropped', ['SYS_TIME'], ['SYS_TIME'], '00000000a80425fb'],
  ])('are %s', (_, add, drop, expected) => {
    expect(hex(add, drop)).toBe(expected);
  });

  it.each([
    [['SYS_NOTHING'], []],
    [[], ['SYS_NOTHING']],
    [[''], []],
    [['CAP_CAP_KILL'], []],
  ])('are refused with an unknown one: %j %j', (add, drop) => {
    expect(() => hex(add, drop)).toThrow(failsWith('BAD_REQUEST', 'is not a capability'));
  });
});

describe('a user', () => {
  const rows = (path: string): string[][] =>
    readFileSync(path, 'utf8')
      .split('\n')
      .filter((line) => line.includes(':'))
      .map((line) => line.split(':'));
  const users = rows('/etc/passwd');
  const [group = '', , gid = ''] = rows('/etc/group').find(([, , id]) => id !== '0') ?? [];

  it('is root unless another is named', () => {
    expect(findUser()).toMatchObject({ uid: 0, gid: 0, home: '/root' });
    expect(findUser('root')).toEqual(findUser());
    expect(findUser('0')).toEqual(findUser());
  });

  it.each(users.map(([name = '', , uid = '', , , home = '']) => [name, uid, home]))(
    '%s has the IDs and groups that the system gives it',
    (name, uid, home) => {
      const ids = execFileSync('id', ['-G', name], { encoding: 'utf8' }).trim().split(' ').map(Number);
      const found = findUser(name);
      expect(found).toMatchObject({ uid: Number(uid), gid: ids[0], home });
      expect(new Set(found.groups)).toEqual(new Set(ids));
    },
  );

  it('may be a number that no name has: then it is in its own group alone', () => {
    expect(findUser('3999999999')).toEqual({
      uid: 3_999_999_999,
      gid: 3_999_999_999,
      groups: [3_999_999_999],
      home: '/',
    });
    expect(findUser('3999999999:3888888888')).toMatchObject({ gid: 3_888_888_888, groups: [3_888_888_888] });
  });

  it('may be given a group, by name or number', () => {
    expect(findUser(`root:${group}`)).toMatchObject({ uid: 0, gid: Number(gid) });
    expect(findUser(`0:${gid}`)).toMatchObject({ uid: 0, gid: Number(gid) });
    expect(findUser('root:3888888888').groups).toContain(3_888_888_888);
  });

  it.each([
    'nobody-of-this-name',
    'root:no-such-group',
    '',
    ':0',
    'root:',
    '4294967295',
    '-1',
    '0x0',
    'root:0:0',
  ])('is refused: %j', (wanted) => {
    expect(() => findUser(wanted)).toThrow(failsWith('BAD_USER', `the user ${wanted} does not exist`));
  });
});

const identity = {
  aid: '01JAPP',
  name: 'shop',
  hostname: 'shop-1',
  address: '10.10.0.2',
  instance: 3,
  template: 'warm',
  generation: 1,
  node: 'machine',
  variables: { ROLE: 'shop 3' },
};
const PRIMED = [
  'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
  'HOME=/root',
  'HOSTNAME=shop-1',
  'APPSHOT_AID=01JAPP',
  'APPSHOT_NAME=shop',
  'APPSHOT_ADDRESS=10.10.0.2',
  'APPSHOT_INSTANCE=3',
  'APPSHOT_TEMPLATE=warm',
  'APPSHOT_GENERATION=1',
];

/** Reads a specification as native/init.c does. */
const decode = (bytes: Buffer) => {
  let at = 0;
  const field = (): string => {
    const end = bytes.indexOf(0, at);
    const text = bytes.toString('utf8', at, end);
    at = end + 1;
    return text;
  };
  const list = (): string[] => Array.from({ length: Number(field()) }, field);
  const capabilities = field();
  const processes = Array.from({ length: Number(field()) }, () => {
    const size = Number(field());
    const begin = at;
    const [name, uid, gid, groups, directory] = [field(), field(), field(), field(), field()];
    const found = { name, uid, gid, groups, directory, command: list(), environment: list() };
    expect(at - begin).toBe(size);
    return found;
  });
  expect(at).toBe(bytes.length);
  return { capabilities, processes };
};

const specOf = (process: object, more: object = {}): ChainSpec =>
  ChainSpec.parse({
    name: 'shop',
    processes: [{ name: 'web', command: ['node', 's.js'], ...process }],
    ...more,
  });

describe('a specification', () => {
  it('holds the capabilities and each process with its arguments and variables', () => {
    const spec = ChainSpec.parse({
      name: 'shop',
      processes: [
        {
          name: 'web',
          command: ['node', '', 'a b', 'ü\n'],
          environment: { GREETING: 'grüß=dich\n', HOME: '/srv' },
        },
        { name: 'cache', command: ['redis-server'], user: '3999999999:33', workingDirectory: '/var/lib' },
      ],
      capabilities: { add: ['SYS_PTRACE'], drop: ['KILL'] },
    });
    const { capabilities, processes } = decode(encodeSpecification(spec, identity));
    expect(capabilities).toBe(capabilityMask(spec.capabilities).toString(16));
    expect(processes).toEqual([
      {
        name: 'web',
        uid: '0',
        gid: '0',
        groups: findUser().groups.join(','),
        directory: '/',
        command: ['node', '', 'a b', 'ü\n'],
        environment: [
          ...PRIMED.map((line) => (line === 'HOME=/root' ? 'HOME=/srv' : line)),
          'GREETING=grüß=dich\n',
          'ROLE=shop 3',
        ],
      },
      {
        name: 'cache',
        uid: '3999999999',
        gid: '33',
        groups: '33',
        directory: '/var/lib',
        command: ['redis-server'],
        environment: [...PRIMED.map((line) => (line === 'HOME=/root' ? 'HOME=/' : line)), 'ROLE=shop 3'],
      },
    ]);
  });

  it.each([
    ['an argument', { command: ['echo', 'a\0b'] }],
    ['a variable', { environment: { A: 'a\0b' } }],
    ["a variable's name", { environment: { 'A\0B': 'a' } }],
    ['a directory', { workingDirectory: '/a\0b' }],
  ])('is refused with a NUL in %s, which would begin another field', (_, change) => {
    const spec = specOf({});
    const altered = { ...spec, processes: spec.processes.map((one) => ({ ...one, ...change })) };
    expect(() => encodeSpecification(altered, identity)).toThrow(failsWith('BAD_REQUEST', 'NUL'));
  });
});

describe('checking a specification', () => {
  it('accepts what can be launched', () => {
    const volumes = [{ source: '/etc/passwd', target: '/passwd' }];
    expect(() => checkSpecification(specOf({}, { volumes }), identity)).not.toThrow();
  });

  it.each([
    [
      'VOLUME_NOT_FOUND',
      'the volume /no/such/place does not exist',
      specOf({}, { volumes: [{ source: '/no/such/place', target: '/data' }] }),
    ],
    ['BAD_USER', 'the user nobody-of-this-name does not exist', specOf({ user: 'nobody-of-this-name' })],
    [
      'BAD_REQUEST',
      'SYS_NOTHING is not a capability',
      specOf({}, { capabilities: { add: ['SYS_NOTHING'] } }),
    ],
    [
      'BAD_REQUEST',
      'two processes are called web',
      specOf({}, { processes: ['web', 'cache', 'web'].map((name) => ({ name, command: ['true'] })) }),
    ],
  ])('refuses with %s: %s', (code, text, spec) => {
    expect(() => checkSpecification(spec, identity)).toThrow(failsWith(code, text));
  });
});

const RESOLVER = 'nameserver 10.10.0.1\n';

describe('the files of an identity', () => {
  it('tell an application its name and address', () => {
    const upper = mkdtempSync(join(tmpdir(), 'appshot-upper-'));
    onTestFinished(() => rmSync(upper, { recursive: true, force: true }));
    for (const address of ['10.10.0.9', identity.address])
      writeIdentityFiles(upper, { ...identity, address }, RESOLVER);
    expect(readFileSync(join(upper, 'etc/hostname'), 'utf8')).toBe('shop-1\n');
    expect(readFileSync(join(upper, 'etc/resolv.conf'), 'utf8')).toBe(RESOLVER);
    const hosts = readFileSync(join(upper, 'etc/hosts'), 'utf8').trim().split('\n');
    expect(hosts).toEqual(['127.0.0.1\tlocalhost', '::1\tlocalhost ip6-localhost', '10.10.0.2\tshop-1']);
    const { variables: _, ...told } = identity;
    expect(JSON.parse(readFileSync(join(upper, '.appshot/identity.json'), 'utf8'))).toEqual(told);
    expect(readFileSync(join(upper, '.appshot/generation'), 'utf8')).toBe('1\n');
  });

  it('leave a place for rules, of which only a small file is read', () => {
    const upper = mkdtempSync(join(tmpdir(), 'appshot-upper-'));
    onTestFinished(() => rmSync(upper, { recursive: true, force: true }));
    writeIdentityFiles(upper, identity, RESOLVER);
    const path = join(upper, '.appshot/rules');
    expect(statSync(path).mode & 0o777).toBe(0o666);
    writeFileSync(path, 'SET ENV "A" = "b"\n');
    expect(readOwnRules(upper)).toEqual({ file: '/.appshot/rules', text: 'SET ENV "A" = "b"\n' });
    writeFileSync(path, ' '.repeat((1 << 20) + 1));
    expect(() => readOwnRules(upper)).toThrow(failsWith('BAD_RULES', '1 MiB'));
    rmSync(path);
    symlinkSync('/etc/passwd', path);
    expect(() => readOwnRules(upper)).toThrow(failsWith('BAD_RULES', 'not a file'));
    rmSync(path);
    expect(readOwnRules(upper).text).toBe('');
  });

  it('of its logs stay in their directory', () => {
    expect(logFile('/data/log', 'web', 'stderr')).toBe('/data/log/web.stderr.log');
    expect(logFile('/data/log', '../../etc/x', 'stdout')).toBe('/data/log/x.stdout.log');
  });
});
