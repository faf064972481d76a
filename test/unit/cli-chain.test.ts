/** From the options of `appshot run` to what the daemon is asked for. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { buildChain } from '../../src/cli/chain.ts';

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
