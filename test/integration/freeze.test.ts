/** Frozen applications: they stand still in memory, keep their connections, and go on with the next packet. */
import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { readFileSync } from 'node:fs';
import { Client } from '../../src/api/client.ts';
import { launch } from '../support/application.ts';
import type { Application } from '../support/application.ts';
import type { DaemonProcess } from '../support/daemon-process.ts';
import { eventually } from '../support/eventually.ts';
import { createLab } from '../support/lab.ts';
import type { Lab } from '../support/lab.ts';
import { chain } from '../support/programs/chain.ts';
import { PYTHON } from '../support/programs/program.ts';
import type { Idle, Work } from '../support/programs/program.ts';

let lab: Lab;
let daemon: DaemonProcess;
let client: Client;
let app: Application;
let work: Work;
let idle: Idle;

beforeAll(async () => {
  lab = await createLab();
  daemon = await lab.daemon();
  client = new Client(lab.runDirectory);
  app = await launch(lab, 'web', chain.launch);
  const at = { lab, address: app.address };
  await chain.ready(at);
  work = await chain.begin(at);
  idle = await chain.openIdle(at);
});

afterAll(async () => {
  await lab[Symbol.asyncDispose]();
});

const cpuOf = (pids: readonly number[]): number =>
  pids.reduce((sum, pid) => {
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8')
      .replace(/^.*\) /, '')
      .split(' ');
    return sum + Number(fields[11]) + Number(fields[12]);
  }, 0);

const systemPids = async (aid = app.aid): Promise<number[]> => {
  const { processes } = await client.inspect(aid);
  return processes.map(({ systemPid }) => systemPid);
};

test('uses no processor, whatever it computes', async () => {
  const busy = await launch(lab, 'busy', { command: [PYTHON, '-c', 'while True: pass'] });
  const pids = await systemPids(busy.aid);
  await client.freeze(busy.aid);
  const before = cpuOf(pids);
  // Time has to pass for it to be used.
  await pause(500);
  expect(cpuOf(pids)).toBe(before);
  await busy.wake();
  await eventually(() => expect(cpuOf(pids)).toBeGreaterThan(before + 5));
  await busy.remove();
});

test('goes on with the next request as if nothing had been', async () => {
  const pids = await systemPids();
  expect((await lab.succeed('freeze', app.name)).stdout).toBe('web frozen\n');
  expect(await app.state()).toBe('frozen');
  await work.goOn();
  await idle.check();
  expect(await app.state()).toBe('running');
  expect(await systemPids()).toEqual(pids);
});

test('data on an open connection lets it go on', async () => {
  await client.freeze(app.aid);
  await idle.check();
  expect(await app.state()).toBe('running');
});

test.each(['sleep', 'snapshot', 'check', 'exec'])(
  '%s finds it frozen, and does what it is asked',
  async (verb) => {
    await client.freeze(app.aid);
    const words = verb === 'exec' ? [app.name, '--', 'hostname'] : [app.name];
    await lab.succeed(verb, ...words);
    expect(await app.state()).toBe(verb === 'sleep' ? 'asleep' : 'running');
    await work.goOn();
    await idle.check();
  },
);

test('the next daemon lets it go on when one was killed', async () => {
  await client.freeze(app.aid);
  await daemon.kill();
  daemon = await lab.daemon();
  expect(await app.state()).toBe('running');
  await work.goOn();
  await idle.check();
});

test.each(['thaw.connect.before', 'thaw.connect.after'])(
  'stays frozen when letting it go on fails at %s, and goes on with the next request',
  async (point) => {
    await daemon.stop();
    daemon = await lab.daemon({ environment: { APPSHOT_FAULT: `${point}=fail` } });
    await client.freeze(app.aid);
    await expect(client.wake(app.aid)).rejects.toMatchObject({ code: 'THAW_FAILED' });
    expect(await app.state()).toBe('frozen');
    await work.goOn();
    await idle.check();
    expect(await app.state()).toBe('running');
  },
);

test('what cannot be frozen goes on', async () => {
  await daemon.stop();
  daemon = await lab.daemon({ environment: { APPSHOT_FAULT: 'freeze.freeze.after=fail' } });
  await expect(client.freeze(app.aid)).rejects.toMatchObject({ code: 'FREEZE_FAILED' });
  expect(await app.state()).toBe('running');
  await work.goOn();
  await idle.check();
});

test('what is ended while it is frozen has failed', async () => {
  const ended = await launch(lab, 'ended', { command: [PYTHON, '-c', 'import time; time.sleep(9999)'] });
  const [first] = await systemPids(ended.aid);
  const status = readFileSync(`/proc/${first}/status`, 'utf8');
  const environment = Number(/^PPid:\s+(\d+)$/m.exec(status)?.[1]);
  await client.freeze(ended.aid);
  process.kill(environment, 'SIGKILL');
  await eventually(async () => expect(await ended.state()).toBe('failed'));
  await ended.remove();
});

test('what does not run cannot be frozen; what is frozen can be removed', async () => {
  await app.sleep();
  await expect(client.freeze(app.aid)).rejects.toMatchObject({ code: 'WRONG_STATE' });
  await work.goOn();
  await work.close();
  await idle.close();
  await client.freeze(app.aid);
  await lab.succeed('rm', '--force', app.name);
  expect(await client.apps({ all: true })).toEqual([]);
});
