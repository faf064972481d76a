/**
 * No process is started on the way from a packet to an application that runs. The daemon is watched from outside by strace. A fault ends it
 * at the last step of the wake, when the application is connected again: what comes later, as filling the pool, cannot be
 * mistaken for a part of the wake.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { run } from '../../src/exec/index.ts';
import { launch } from '../support/application.ts';
import type { DaemonProcess } from '../support/daemon-process.ts';
import { eventually } from '../support/eventually.ts';
import { createLab } from '../support/lab.ts';
import type { Lab } from '../support/lab.ts';
import { node } from '../support/programs/node.ts';

const POOL = 3;

let lab: Lab;
let daemon: DaemonProcess;

beforeEach(async () => {
  lab = await createLab();
  daemon = await lab.daemon({
    args: ['--pool', String(POOL)],
    environment: { APPSHOT_FAULT: 'wake.connect.after=kill' },
  });
});

afterEach(async () => {
  await lab[Symbol.asyncDispose]();
});

const poolIsFull = (): Promise<void> =>
  eventually(async () => {
    const socket = join(lab.runDirectory, 'appshot.sock');
    const { stdout } = await run('curl', ['--silent', '--unix-socket', socket, 'http://appshot/metrics']);
    expect(stdout).toMatch(new RegExp(`^appshot_pool_ready ${POOL}$`, 'm'));
  });

/** The calls in a record of strace that make or become another process; a thread is none. */
const spawns = (record: string): string[] =>
  record
    .split('\n')
    .filter((line) => /\b(execve(at)?|v?fork|clone3?)\(/.test(line) && !line.includes('CLONE_THREAD'));

/** A helper of the daemon's fills memory whose layer is not mapped: that is what the other ways cost. */
test.each([
  ['in a layer', [], true],
  ['never in one, so that the engine copies it', ['--memory', 'copy'], false],
])('waking by a packet starts no process: memory %s', async (_, options, layered) => {
  const app = await launch(lab, 'node', node.launch, options);
  const at = { lab, address: app.address };
  await node.ready(at);
  const work = await node.begin(at);
  const idle = await node.openIdle(at);
  const file = join(lab.directory, 'strace');
  const calls = 'trace=clone,clone3,fork,vfork,execve,execveat';
  const watcher = await lab.talk('sh', ['-c', `exec strace -f -o ${file} -e ${calls} -p ${daemon.pid} 2>&1`]);
  await watcher.hear(/attached/);
  await app.sleep();
  const [kept] = await app.kept();
  expect((kept?.memory.layered ?? 0) > 0).toBe(layered);
  await poolIsFull();
  const before = readFileSync(file, 'utf8');
  // Saving does start one: the watch works.
  expect(spawns(before)).not.toEqual([]);
  await idle.check();
  expect(await daemon.exited).toMatchObject({ signal: 'SIGKILL' });
  const after = await eventually(() => {
    const record = readFileSync(file, 'utf8');
    expect(record).toContain('killed by SIGKILL');
    return record;
  });
  await watcher.close();
  expect(spawns(after.slice(before.length))).toEqual([]);
  await lab.daemon();
  await work.goOn();
  await idle.check();
  await idle.close();
  await app.remove();
});
