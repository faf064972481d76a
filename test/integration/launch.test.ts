/** What the harness gives to programs: environment, user, directories, volumes, limits, logs; and `exec` and `check`. */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { launch } from '../support/application.ts';
import type { Application } from '../support/application.ts';
import { eventually } from '../support/eventually.ts';
import { createLab } from '../support/lab.ts';
import type { Lab } from '../support/lab.ts';
import { askJson, fixture, PYTHON } from '../support/programs/program.ts';

let lab: Lab;

beforeAll(async () => {
  lab = await createLab();
  await lab.daemon();
});

afterAll(async () => {
  await lab[Symbol.asyncDispose]();
});

/** A shell that says something and stays. */
const shell = (script: string): { command: string[] } => ({
  command: ['sh', '-c', `${script}; exec sleep 1000`],
});

const inside = async (app: Application, ...command: string[]): Promise<string> =>
  (await lab.succeed('exec', app.aid, '--', ...command)).stdout.trim();

const logged = (app: Application, text: string): Promise<void> =>
  eventually(async () => expect((await lab.succeed('logs', app.aid)).stdout).toContain(text));

test('environment, user, working directory and host name', async () => {
  const options = ['--env', 'SALT=and pepper', '--user', 'nobody', '--workdir', '/usr', '--hostname', 'cook'];
  const app = await launch(lab, 'told', shell('echo "$SALT: $(id -un) in $(pwd) on $(hostname)"'), options);
  await logged(app, 'and pepper: nobody in /usr on cook');
  expect(app.hostname).toBe('cook');
  await app.sleep();
  await app.wake();
  expect(await inside(app, 'hostname')).toBe('cook');
  await app.remove();
});

test('an address that was asked for', async () => {
  const app = await launch(lab, 'placed', shell('true'), ['--address', '10.10.7.7']);
  expect(app.address).toBe('10.10.7.7');
  expect(await inside(app, 'hostname', '-I')).toBe('10.10.7.7');
  await app.remove();
});

test('logs of both streams, before a sleep and after', async () => {
  const app = await launch(lab, 'talker', {
    command: ['sh', '-c', 'echo out; echo err >&2; while sleep 0.2; do echo tick; done'],
  });
  const logs = async (): Promise<string[]> =>
    (await lab.succeed('logs', '--json', app.aid)).stdout.trim().split('\n');
  await logged(app, 'tick');
  const lines = (await logs()).map((line) => JSON.parse(line) as unknown);
  expect(lines).toContainEqual(expect.objectContaining({ stream: 'stdout', text: 'out' }));
  expect(lines).toContainEqual(expect.objectContaining({ stream: 'stderr', text: 'err' }));
  await app.sleep();
  const asleep = await logs();
  expect(asleep.length).toBeGreaterThanOrEqual(lines.length);
  expect(await logs()).toEqual(asleep);
  await app.wake();
  await eventually(async () => expect((await logs()).length).toBeGreaterThan(asleep.length));
  await app.remove();
});

test('exec passes output, input and the exit code', async () => {
  const app = await launch(lab, 'host', shell('true'));
  const result = await lab.appshot('exec', app.aid, '--', 'sh', '-c', 'echo out; echo err >&2; exit 7');
  expect(result).toMatchObject({ stdout: 'out\n', stderr: 'err\n', code: 7 });
  await app.sleep();
  await app.wake();
  expect(await inside(app, 'echo', 'again')).toBe('again');
  await app.remove();
});

test('its own files: written inside, unseen outside, there again after a sleep', async () => {
  const app = await launch(lab, 'scribe', shell('true'));
  for (const path of [
    '/tmp/mine',
    '/run/mine',
    '/dev/shm/mine',
    '/var/lib/appshot-mine',
    '/etc/appshot-mine',
  ]) {
    await inside(app, 'sh', '-c', `echo ${path} > ${path}`);
    expect(existsSync(path)).toBe(false);
  }
  await app.sleep();
  await app.wake();
  for (const path of [
    '/tmp/mine',
    '/run/mine',
    '/dev/shm/mine',
    '/var/lib/appshot-mine',
    '/etc/appshot-mine',
  ]) {
    expect(await inside(app, 'cat', path)).toBe(path);
  }
  await app.remove();
});

test('volumes: shared with the host, before and after a sleep; read-only ones stay so', async () => {
  const [shared, fixed] = [join(lab.directory, 'shared'), join(lab.directory, 'fixed')];
  for (const directory of [shared, fixed]) mkdirSync(directory);
  writeFileSync(join(fixed, 'note'), 'kept');
  const app = await launch(lab, 'lodger', shell('true'), [
    '-v',
    `${shared}:/data`,
    '-v',
    `${fixed}:/fixed:ro`,
  ]);
  await inside(app, 'sh', '-c', 'echo one > /data/one');
  expect(readFileSync(join(shared, 'one'), 'utf8')).toBe('one\n');
  await app.sleep();
  writeFileSync(join(shared, 'two'), 'two');
  await app.wake();
  expect(await inside(app, 'cat', '/data/two', '/fixed/note')).toBe('twokept');
  expect((await lab.appshot('exec', app.aid, '--', 'touch', '/fixed/more')).code).not.toBe(0);
  await app.remove();
});

/** Forks until it may not, and tells how often it could. */
const FORKS = `
import os, signal
children = []
try:
    while len(children) < 64:
        children.append(os.fork())
        if children[-1] == 0:
            signal.pause()
except OSError:
    pass
print(len(children))
for child in children:
    os.kill(child, signal.SIGKILL)
`;

test('a limit of tasks', async () => {
  const app = await launch(lab, 'few', shell('true'), ['--pids-limit', '16']);
  const result = await lab.appshot('exec', app.aid, '--', PYTHON, '-uc', FORKS);
  expect(Number(result.stdout)).toBeGreaterThan(0);
  expect(Number(result.stdout)).toBeLessThan(16);
  await app.remove();
});

test('capabilities as in a container, with the ones asked for', async () => {
  const capabilities = async (app: Application): Promise<bigint> =>
    BigInt(`0x${(await inside(app, 'grep', 'CapEff', '/proc/self/status')).split(/\s+/)[1]}`);
  const [NET_BIND_SERVICE, SYS_PTRACE, SYS_ADMIN, SYS_TIME] = [
    1n << 10n,
    1n << 19n,
    1n << 21n,
    1n << 25n,
  ] as const;
  const usual = await launch(lab, 'usual', shell('true'));
  const granted = await capabilities(usual);
  expect(granted & NET_BIND_SERVICE).toBe(NET_BIND_SERVICE);
  expect(granted & (SYS_ADMIN | SYS_TIME)).toBe(0n);
  const more = await launch(lab, 'more', shell('true'), [
    '--cap-add',
    'SYS_PTRACE',
    '--cap-drop',
    'NET_BIND_SERVICE',
  ]);
  const changed = await capabilities(more);
  expect(changed & SYS_PTRACE).toBe(SYS_PTRACE);
  expect(changed & NET_BIND_SERVICE).toBe(0n);
  for (const app of [usual, more]) await app.remove();
});

test('check names what blocks a snapshot; sleep then refuses and harms nothing', async () => {
  const app = await launch(lab, 'queue', { command: [PYTHON, fixture('queue.py'), '8087'] });
  const at = { lab, address: app.address };
  const { pid } = await eventually(() => askJson<{ pid: number }>(at, 8087, 'state'));
  const report = await app.check();
  expect(report.ok).toBe(false);
  expect(report.blockers).toContainEqual(expect.objectContaining({ kind: 'message-queue', pid }));
  const refused = await lab.appshot('sleep', app.aid);
  expect(refused.code).toBe(1);
  expect(refused.stderr).toMatch(/message queue.*\[BLOCKED\]/);
  expect(await app.state()).toBe('running');
  expect(await askJson(at, 8087, 'drop')).toEqual({ held: false, pid });
  expect(await app.check()).toMatchObject({ ok: true, blockers: [] });
  await app.sleep();
  expect(await askJson(at, 8087, 'state')).toEqual({ held: false, pid });
  await app.remove();
});
