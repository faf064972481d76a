/** From the options of `appshot run` to what the daemon is asked for. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Command } from 'commander';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { buildChain } from '../../src/cli/chain.ts';
import { parseInstances } from '../../src/cli/numbers.ts';
import { addRunVerb } from '../../src/cli/verbs/run.ts';

const PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';
let directory = '';
let file = '';

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'appshot-chain-'));
  file = join(directory, 'appshot.yaml');
  await writeFile(
    file,
    'name: shop\nidle: 1m\nvolumes: [./a:/a]\nrules: ON CLONE SIGNAL HUP\nlinks: [/a=/b]\nprocesses: {web: {command: node, environment: {A: file, B: file}}, db: {command: x, user: nobody, working_dir: sub}}',
  );
  await writeFile(join(directory, 'own.rules'), 'SET ENV "A" = "<AID>"\n');
  await writeFile(join(directory, 'env'), '# comment\nA="from file"\nC=3\n');
});
afterAll(() => rm(directory, { recursive: true }));

describe('a command', () => {
  it('becomes an application with a name, a directory and a clean environment', async () => {
    await expect(buildChain({}, ['/usr/bin/node', 'server.js'])).resolves.toEqual({
      name: 'node',
      processes: [
        {
          name: 'node',
          command: ['/usr/bin/node', 'server.js'],
          environment: { PATH, HOME: '/root' },
          workingDirectory: process.cwd(),
        },
      ],
      volumes: [],
      limits: {},
      capabilities: { add: [], drop: [] },
    });
  });

  it('takes every option', async () => {
    const options = {
      name: 'web',
      aid: 'web-1',
      address: '10.10.0.9',
      network: 'blue',
      service: 'shop',
      publish: ['8080:80', '127.0.0.1:53-54:53-54/udp'],
      site: ['shop.example:81', 'www.example'],
      priority: 70,
      freeze: 5,
      instances: { min: 0, max: 3, template: 'base' },
      hostname: 'host',
      env: ['A=1=2', 'EMPTY='],
      envFile: [join(directory, 'env')],
      user: 'nobody',
      workdir: '/srv/../tmp',
      volume: ['/x:/y/../z:ro', './a:/b'],
      idle: 30,
      memory: 'lazy' as const,
      memoryLimit: 2 ** 29,
      pidsLimit: 9,
      cpus: 0.5,
      capAdd: ['cap_net_admin'],
      capDrop: ['CHOWN'],
      rules: [join(directory, 'own.rules')],
      link: ['/data=/srv/<AID>=x'],
    };
    const spec = await buildChain(options, ['--', 'node']);
    expect(spec).toMatchObject({
      name: 'web',
      aid: 'web-1',
      address: '10.10.0.9',
      network: 'blue',
      service: 'shop',
      publish: [
        { port: 8080, target: 80, protocol: 'tcp' },
        { port: 53, target: 53, protocol: 'udp', address: '127.0.0.1' },
        { port: 54, target: 54, protocol: 'udp', address: '127.0.0.1' },
      ],
      sites: [
        { host: 'shop.example', port: 81 },
        { host: 'www.example', port: 80 },
      ],
      policy: { priority: 70, freeze: 5, instances: { min: 0, max: 3, template: 'base' }, ignore: [] },
      hostname: 'host',
      idle: 30,
      memory: 'lazy',
      limits: { memory: 2 ** 29, pids: 9, cpus: 0.5 },
      capabilities: { add: ['NET_ADMIN'], drop: ['CHOWN'] },
      rules: [{ file: join(directory, 'own.rules'), text: 'SET ENV "A" = "<AID>"\n' }],
      links: [{ path: '/data', target: '/srv/<AID>=x' }],
      volumes: [
        { source: '/x', target: '/z', readOnly: true },
        { source: join(process.cwd(), 'a'), target: '/b', readOnly: false },
      ],
    });
    expect(spec.processes[0]).toMatchObject({
      user: 'nobody',
      workingDirectory: '/tmp',
      environment: { PATH, HOME: '/nonexistent', A: '1=2', C: '3', EMPTY: '' },
    });
  });

  it.each([
    [{}, [], 'USAGE', 'the command to run is missing'],
    [{}, ['--'], 'USAGE', 'the command to run is missing'],
    [{ name: 'Bad_Name' }, ['x'], 'BAD_NAME', 'Bad_Name'],
    [{ aid: 'a b' }, ['x'], 'USAGE', '--aid: use 1 to 64 letters'],
    [{ network: 'Blue' }, ['x'], 'USAGE', '--network: use 1 to '],
    [{ service: 'a_b' }, ['x'], 'USAGE', '--service: use 1 to 63'],
    [{ publish: ['80'] }, ['x'], 'USAGE', "--publish: '80' names no port of this machine: write 80:80"],
    [{ hostname: 'a.b' }, ['x'], 'USAGE', '--hostname: use 1 to 63'],
    [{ publish: ['0:80'] }, ['x'], 'USAGE', '--publish: the port 0 is not between 1 and 65535'],
    [{ publish: ['8080:65536'] }, ['x'], 'USAGE', '--publish: the port 65536 is not between'],
    [{ publish: ['http:80'] }, ['x'], 'USAGE', "--publish: 'http' is neither a port nor a range"],
    [{ publish: ['10.0.0.300:1:1'] }, ['x'], 'USAGE', '--publish: Invalid IPv4 address'],
    [
      { publish: ['[::1]:1:1'] },
      ['x'],
      'USAGE',
      "--publish: '[::1]:1:1' does not begin with an IPv4 address",
    ],
    [{ publish: ['1-3:1-2'] }, ['x'], 'USAGE', '--publish: ports and targets must be as many, not 3 and 2'],
    [{ publish: ['7000:1', '0.0.0.0:7000:1'] }, ['x'], 'USAGE', 'the port 7000/tcp is there twice'],
    [{ publish: ['a:1:1'] }, ['x'], 'USAGE', '--publish: Invalid IPv4 address'],
    [{ publish: ['1:1/x'] }, ['x'], 'USAGE', "--publish: 'x' is neither tcp nor udp"],
    [{ publish: ['1:1', '1-2:5-6'] }, ['x'], 'USAGE', '--publish: the port 1/tcp is there twice'],
    [{ site: ['a'] }, ['x'], 'USAGE', '--site: say which port of the application serves it, such as a:8080'],
    [{ site: ['A:1'] }, ['x'], 'USAGE', '--site: give a host name in lower case'],
    [{ site: ['a:1', 'a:2'] }, ['x'], 'USAGE', '--site: the host a is there twice'],
    [{ site: ['a:0'] }, ['x'], 'USAGE', '--site: it must be at least 1'],
    [{ priority: 101 }, ['x'], 'USAGE', '--priority: it must be at most 100'],
    [
      { freeze: 30, idle: 30 },
      ['x'],
      'USAGE',
      '--freeze: it must be less than the time after which it sleeps',
    ],
    [{ instances: { min: 3, max: 2 } }, ['x'], 'USAGE', '--instances: it must be at most 2, as max says'],
    [{ instances: { min: 0, max: 0 } }, ['x'], 'USAGE', '--instances: it must be at least 1'],
    [{ concurrency: 2 }, ['x'], 'USAGE', '--concurrency needs --instances'],
    [{ address: '1.2' }, ['x'], 'USAGE', '--address: Invalid IPv4 address'],
    [{ memoryLimit: 1 }, ['x'], 'USAGE', '--memory-limit: it must be at least 4194304'],
    [{ volume: ['data:/x'] }, ['x'], 'USAGE', "--volume: 'data' is not a path"],
    [{ volume: ['/x:y'] }, ['x'], 'USAGE', '--volume: give an absolute path'],
    [{ capAdd: ['rm -rf'] }, ['x'], 'USAGE', '--cap-add: '],
    [{ rules: ['/nonexistent/rules'] }, ['x'], 'USAGE', '/nonexistent/rules cannot be read: it does not'],
    [{ link: ['/data'] }, ['x'], 'USAGE', "--link: '/data' is not PATH=TARGET"],
    [{ link: ['data=/x'] }, ['x'], 'USAGE', '--link: give an absolute path'],
    [{ env: ['=x'] }, ['x'], 'USAGE', "'=x' is not K=V"],
    [{ env: ['APPSHOT_TEST_UNSET'] }, ['x'], 'USAGE', 'APPSHOT_TEST_UNSET has no value'],
    [{ envFile: ['/nonexistent/env'] }, ['x'], 'USAGE', '/nonexistent/env cannot be read: it does not exist'],
    [{ file: '/nonexistent/a.yaml' }, [], 'USAGE', '/nonexistent/a.yaml cannot be read'],
    [{ file: '/nonexistent/a.yaml' }, ['x'], 'USAGE', 'a command or --file, not both'],
  ])('with %j and %j is refused', async (options, words, code, message) => {
    await expect(buildChain(options, words)).rejects.toMatchObject({
      code,
      message: expect.stringContaining(message) as string,
    });
  });
});

describe('an option', () => {
  it.each([
    [['--priority', '101'], 'from 0 to 100'],
    [['--priority', '-1'], 'from 0 to 100'],
    [['--priority', 'high'], 'from 0 to 100'],
    [['--freeze', 'never'], "'never' is not a duration"],
    [['--idle', 'never'], "'never' is not a duration"],
    [['--instances', 'many'], 'Give MIN..MAX'],
  ])('%j is refused as it is read', async (words, says) => {
    const program = new Command().enablePositionalOptions().exitOverride();
    program.configureOutput({ outputError: () => undefined });
    addRunVerb(program);
    const parsed = program.parseAsync(['run', ...words, '--', 'x'], { from: 'user' });
    await expect(parsed).rejects.toThrow(says);
  });
});

describe('a file', () => {
  it('goes below the options', async () => {
    const rules = [join(directory, 'own.rules')];
    const options = { file, name: 'other', env: ['A=option'], volume: ['/b:/b'], rules, link: ['/c=/d'] };
    const spec = await buildChain(options, []);
    expect(spec.rules?.map((source) => source.file)).toEqual([`${file} rules`, ...rules]);
    expect(spec.links?.map(({ path }) => path)).toEqual(['/a', '/c']);
    expect(spec).toMatchObject({ name: 'other', idle: 60 });
    expect(spec.volumes.map(({ source }) => source)).toEqual([join(directory, 'a'), '/b']);
    expect(spec.processes).toMatchObject([
      {
        name: 'web',
        workingDirectory: directory,
        environment: { PATH, HOME: '/root', A: 'option', B: 'file' },
      },
      {
        name: 'db',
        workingDirectory: join(directory, 'sub'),
        user: 'nobody',
        environment: { HOME: '/nonexistent' },
      },
    ]);
  });
});

describe('how a file is reached', () => {
  const lines = [
    'name: shop\nidle: 1m\nnetwork: red\nservice: shops\npublish: [8080:80]\nsites: [a.example]',
    'policy: {priority: 10, idle: {freeze: 5s}, instances: {max: 2, template: base}, ignore: [10.0.0.9]}',
    'processes: {web: {command: node}}',
  ];
  const build = async (options: object) => {
    const own = join(directory, 'reached.yaml');
    await writeFile(own, lines.join('\n'));
    return buildChain({ file: own, ...options }, []);
  };

  it('stays as it is without options', async () => {
    await expect(build({})).resolves.toMatchObject({
      network: 'red',
      service: 'shops',
      publish: [{ port: 8080, target: 80 }],
      sites: [{ host: 'a.example', port: 80 }],
      policy: {
        priority: 10,
        freeze: 5,
        instances: { min: 0, max: 2, template: 'base' },
        ignore: ['10.0.0.9/32'],
      },
    });
  });

  it('goes below the options, and lists grow', async () => {
    const options = {
      network: 'blue',
      service: 's',
      publish: ['53:53/udp'],
      site: ['b.example'],
      priority: 20,
    };
    await expect(build({ ...options, instances: { min: 2, max: 6 } })).resolves.toMatchObject({
      network: 'blue',
      service: 's',
      publish: [{ target: 80 }, { target: 53, protocol: 'udp' }],
      sites: [
        { host: 'a.example', port: 80 },
        { host: 'b.example', port: 80 },
      ],
      policy: {
        priority: 20,
        freeze: 5,
        instances: { min: 2, max: 6, template: 'base' },
        ignore: ['10.0.0.9/32'],
      },
    });
  });

  it('bound the requests at once of what a file says', async () => {
    await expect(build({ concurrency: 8 })).resolves.toMatchObject({
      policy: { instances: { min: 0, max: 2, template: 'base', concurrency: 8 } },
    });
    await expect(build({ concurrency: 8, instances: { min: 1, max: 5 } })).resolves.toMatchObject({
      policy: { instances: { min: 1, max: 5, template: 'base', concurrency: 8 } },
    });
  });

  it('must fit together with them', async () => {
    await expect(build({ publish: ['8080:81'] })).rejects.toMatchObject({
      message: '--publish: the port 8080/tcp is there twice',
    });
    await expect(build({ idle: 4 })).rejects.toMatchObject({
      message: '--freeze: it must be less than the time after which it sleeps',
    });
  });
});

describe('a range of instances', () => {
  it.each([
    ['1..5', { min: 1, max: 5 }],
    ['0..1:web-base', { min: 0, max: 1, template: 'web-base' }],
  ])('%s', (text, range) => expect(parseInstances(text)).toEqual(range));

  it.each(['5', '1-5', '1..', '..5', '1..5:', '1..99999', 'a..b'])('%s is refused', (text) =>
    expect(() => parseInstances(text)).toThrow('Give MIN..MAX'),
  );
});

describe('rules', () => {
  it('may have a mebibyte', async () => {
    const large = join(directory, 'large.rules');
    await writeFile(large, '#'.repeat((1 << 20) + 1));
    await expect(buildChain({ rules: [large] }, ['x'])).rejects.toMatchObject({
      code: 'USAGE',
      message: '--rules: rules may have 1 MiB at most',
    });
  });
});
