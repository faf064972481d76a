/** The command as a user types it, against a daemon that gives canned answers over a real socket. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { VERSION } from '../../src/api/index.ts';
import { CannedDaemon, missing, web } from '../support/canned-daemon.ts';
import type { Answers } from '../support/canned-daemon.ts';

const VERBS = [
  'run',
  'ps',
  'inspect',
  'check',
  'map',
  'logs',
  'exec',
  'freeze',
  'sleep',
  'wake',
  'stop',
  'rm',
  'snapshot',
  'history',
  'diff',
  'rewind',
  'fork',
  'pin',
  'unpin',
  'discard',
  'gc',
  'export',
  'import',
  'push',
  'pull',
  'template',
  'clone',
  'network',
  'ports',
  'events',
  'top',
  'daemon',
  'setup',
  'doctor',
  'schema',
  'completion',
];

const answers: Answers = {
  'POST /v1/apps/web/exec': (body) => {
    const { input = '' } = JSON.parse(body) as { input?: string };
    const frames = [
      { type: 'stdout', data: input },
      { type: 'stderr', data: Buffer.from([0xff]).toString('base64') },
      { type: 'exit', code: 3, signal: null },
    ];
    return { body: frames.map((frame) => `${JSON.stringify(frame)}\n`).join('') };
  },
  'GET /v1/apps': { body: [web] },
  'GET /v1/apps?all=true': { body: [web] },
  'POST /v1/apps': { status: 201, body: web },
  'POST /v1/apps/web/stop': { body: { ...web, state: 'stopped' } },
  'POST /v1/apps/db/stop': { status: 404, body: missing },
  'GET /v1/apps/web/check': { body: { aid: '01J', name: 'web', ok: false, blockers: [] } },
  'GET /v1/top': { body: [] },
};
let daemon: CannedDaemon;

beforeAll(async () => {
  daemon = await CannedDaemon.start(answers);
});
afterAll(() => daemon.close());

const run = (...words: string[]) => daemon.run(...words);

describe('appshot', () => {
  it('prints its version and its help', async () => {
    await expect(run('--version')).resolves.toEqual({ code: 0, stdout: `${VERSION}\n`, stderr: '' });
    const help = await run('--help');
    expect(help).toMatchObject({ code: 0, stderr: '' });
    expect(help.stdout).toContain('completion');
  });

  it.each(VERBS)('%s has help with an example', async (verb) => {
    const { code, stdout } = await run(verb, '--help');
    expect(code).toBe(0);
    expect(stdout).toMatch(/\nExample:\n {2}\S/);
  });

  it('has a page that tells of every verb', async () => {
    const { stdout } = await run('--help');
    const listed = [...stdout.matchAll(/^ {2}(\w+)(?: \[options\])?(?: [<[].*)?  +\w/gm)].map(
      ([, verb]) => verb,
    );
    expect(listed.filter((verb) => verb !== 'help')).toEqual(VERBS);
    const page = await readFile(join(import.meta.dirname, '../../docs/cli.md'), 'utf8');
    for (const verb of VERBS) expect(page).toMatch(new RegExp(`^\\| \`${verb}[ \`]`, 'm'));
  });

  it('lists applications, for people and for scripts', async () => {
    const { stdout } = await run('ps');
    expect(stdout).toMatch(/^NAME .*\nweb +running +10\.10\.0\.2 /);
    expect(JSON.parse((await run('ps', '--json')).stdout)).toEqual([web]);
    expect(JSON.parse((await run('--json', 'ps')).stdout)).toEqual([web]);
  });

  it('starts an application; what follows the command is its own', async () => {
    await expect(run('run', '--name', 'web', '--idle', '30s', 'node', '--json', '--', 'x')).resolves.toEqual({
      code: 0,
      stdout: 'web running 10.10.0.2\n',
      stderr: '',
    });
    const body = JSON.parse(daemon.asked.at(-1)?.body ?? '') as {
      idle: number;
      processes: { command: string[] }[];
    };
    expect(body.idle).toBe(30);
    expect(body.processes[0]?.command).toEqual(['node', '--json', '--', 'x']);
  });

  it('goes on after a failure, and fails', async () => {
    const { code, stdout, stderr } = await run('stop', 'db', 'web');
    expect({ code, stdout }).toEqual({ code: 1, stdout: 'web stopped\n' });
    expect(stderr).toBe('appshot: no application is called db; look [APP_NOT_FOUND]\n');
  });

  it('fails where check finds something', async () => {
    await expect(run('check', 'web', '--json')).resolves.toMatchObject({ code: 1, stderr: '' });
  });

  it('prints errors as JSON for scripts', async () => {
    const { code, stdout, stderr } = await run('inspect', 'db', '--json');
    expect({ code, stdout, error: JSON.parse(stderr) as unknown }).toEqual({
      code: 1,
      stdout: '',
      error: missing,
    });
  });

  it.each([
    [['ps', '--al'], "unknown option '--al' (Did you mean --all?)"],
    [['pss'], "unknown command 'pss' (Did you mean ps?)"],
    [['ps', 'web'], 'too many arguments'],
    [['sleep'], "missing required argument 'app'"],
    [['run', '--idle', '30', 'x'], "'30' is not a duration"],
    [['run', '--pids-limit', '1.5', 'x'], 'Give a whole number from 1 to'],
    [['stop', '--timeout', '-1', 'x'], 'Give a number from 0 to 3600'],
    [['daemon', '--log-level', 'loud'], 'Allowed choices are trace'],
    [['wake', '--memory', 'fast', 'web'], 'Allowed choices are auto, layer, lazy, copy'],
    [['snapshot', '--pin', '--ttl', '7d', 'web'], '--pin and --ttl exclude each other'],
    [['fork', 'web'], "required option '-n, --name <name>' not specified"],
    [['fork', 'web@', '--name', 'x'], "'web@' is neither APP nor APP@SNAPSHOT"],
    [
      ['export', 'web', 'f', '--encrypt-key', 'k', '--passphrase-file', 'p'],
      'a key or a passphrase, not both',
    ],
    [['daemon', '--history-keep', '0'], 'Give a whole number from 1 to'],
    [['daemon', '--quota', 'lots'], "'lots' is not a size"],
    [['completion', 'tcsh'], 'Allowed choices are bash, zsh, fish'],
  ])('%j is wrong use: one line, exit code 2', async (words, expected) => {
    const { code, stdout, stderr } = await run(...words);
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(stderr).toMatch(/^appshot: [^\n]* \[USAGE\]\n$/);
    expect(stderr).toContain(expected);
    const json = await run('--json', ...words);
    expect(JSON.parse(json.stderr)).toMatchObject({ error: { code: 'USAGE' } });
  });

  it('says where it found no daemon', async () => {
    const { code, stderr } = await run('ps', '--run-dir', '/nonexistent');
    expect(code).toBe(1);
    expect(stderr).toMatch(
      /^appshot: no daemon answers at \/nonexistent\/appshot\.sock; .* \[NO_DAEMON\]\n$/,
    );
  });

  it('completes verbs and names of applications', async () => {
    expect((await run('completion', 'bash')).stdout).toContain('appshot complete --');
    expect((await run('complete', '--', 'ev')).stdout).toMatch(/^events\t/);
    expect((await run('complete', '--', 'sleep', '')).stdout).toMatch(/^web\trunning\n/);
    expect((await run('complete', '--', 'fork', '')).stdout).toMatch(/^web\trunning\n/);
  });
});

describe('appshot exec', () => {
  it('passes a file on, keeps bytes as they are, and ends with the exit code', async () => {
    const bytes = Buffer.from([0, 0x1b, 0xff, 10]);
    const { code, stdout } = await daemon.runWithInput(bytes, 'exec', 'web', '--', 'cat', '-n');
    expect({ code, stdout }).toEqual({ code: 3, stdout: bytes });
    const request = JSON.parse(daemon.asked.at(-1)?.body ?? '') as unknown;
    expect(request).toMatchObject({ command: ['cat', '-n'], input: bytes.toString('base64') });
  });

  it('does not wait for an input that a program left open', async () => {
    await expect(run('exec', 'web', 'true')).resolves.toMatchObject({ code: 3, stdout: '' });
  });

  it('refuses more input than fits', async () => {
    const { code, stderr } = await daemon.runWithInput(Buffer.alloc((1 << 20) + 1), 'exec', 'web', 'cat');
    expect(code).toBe(2);
    expect(stderr).toContain('standard input is longer than 1048576 bytes');
  });
});
