/** What a daemon remembers, and to whom its directory belongs. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import type { AppEvent } from '../../src/api/index.ts';
import { claim } from '../../src/daemon/claim.ts';
import { Events } from '../../src/daemon/events.ts';
import { startTimeOf } from '../../src/environments/index.ts';

const web = { aid: '01JAPP', name: 'web' };

describe('events', () => {
  it('are numbered, and hold what there is to say', () => {
    const events = new Events();
    events.emit('ready');
    events.emit('asleep', web, { data: { ms: 12 } });
    events.emit('wake-failed', web, { reason: 'the disk is full' });
    const [ready, asleep, failed] = events.since(0);
    expect(ready).toEqual({ id: 1, at: ready?.at, type: 'ready' });
    expect(asleep).toEqual({ id: 2, at: asleep?.at, type: 'asleep', ...web, data: { ms: 12 } });
    expect(failed).toEqual({
      id: 3,
      at: failed?.at,
      type: 'wake-failed',
      ...web,
      reason: 'the disk is full',
    });
    expect(new Date(ready?.at ?? '').toISOString()).toBe(ready?.at);
  });

  it('are given from any number on', () => {
    const events = new Events();
    for (const type of ['a', 'b', 'c']) events.emit(type);
    expect(events.since(1).map(({ type }) => type)).toEqual(['b', 'c']);
    expect(events.since(3)).toEqual([]);
    expect(events.since(99)).toEqual([]);
  });

  it('are forgotten when there are more than ten thousand, the oldest first', () => {
    const events = new Events();
    for (let i = 0; i < 10_003; i++) events.emit('running', web);
    const kept = events.since(0);
    expect(kept).toHaveLength(10_000);
    expect([kept[0]?.id, kept.at(-1)?.id]).toEqual([4, 10_003]);
  });

  it('are told to each listener until it stops', () => {
    const events = new Events();
    const told: [string, AppEvent][] = [];
    events.emit('before');
    const stop = events.listen((event) => told.push(['one', event]));
    events.listen((event) => told.push(['other', event]));
    events.emit('both');
    stop();
    events.emit('one');
    expect(told.map(([who, { id }]) => [who, id])).toEqual([
      ['one', 2],
      ['other', 2],
      ['other', 3],
    ]);
  });
});

describe('a directory', () => {
  const temporaryDirectory = async (): Promise<string> => {
    const directory = await mkdtemp(join(tmpdir(), 'appshot-claim-'));
    onTestFinished(() => rm(directory, { recursive: true, force: true }));
    return directory;
  };
  const owned = (directory: string, owner: unknown): Promise<void> =>
    writeFile(join(directory, 'daemon.json'), typeof owner === 'string' ? owner : JSON.stringify(owner));
  /** Another process that lives, as long as the test. */
  const other = async (): Promise<{
    pid: number;
    startTime: number | undefined;
    end: () => Promise<void>;
  }> => {
    const child = spawn('sleep', ['60'], { stdio: 'ignore' });
    await once(child, 'spawn');
    const exited = once(child, 'exit');
    onTestFinished(() => void child.kill('SIGKILL'));
    const pid = child.pid ?? 0;
    const end = async (): Promise<void> => {
      child.kill('SIGKILL');
      await exited;
    };
    return { pid, startTime: startTimeOf(pid), end };
  };
  const own = { pid: process.pid, startTime: startTimeOf(process.pid) };

  it('belongs to who claims it, until it is given back', async () => {
    const directory = await temporaryDirectory();
    const release = await claim(directory);
    expect(JSON.parse(await readFile(join(directory, 'daemon.json'), 'utf8'))).toEqual(own);
    expect((await stat(join(directory, 'daemon.json'))).mode & 0o777).toBe(0o600);
    release();
    expect(await readdir(directory)).toEqual([]);
  });

  it('is refused while another daemon lives there', async () => {
    const directory = await temporaryDirectory();
    const { pid, startTime, end } = await other();
    await owned(directory, { pid, startTime });
    await expect(claim(directory)).rejects.toMatchObject({
      code: 'DAEMON_RUNNING',
      message: `a daemon (PID ${pid}) already uses ${directory}`,
    });
    await end();
    (await claim(directory))();
  });

  it('is free when the PID is of a younger process', async () => {
    const directory = await temporaryDirectory();
    const { pid, startTime } = await other();
    await owned(directory, { pid, startTime: (startTime ?? 0) - 1 });
    const release = await claim(directory);
    expect(JSON.parse(await readFile(join(directory, 'daemon.json'), 'utf8'))).toEqual(own);
    release();
  });

  it.each([
    ['no JSON', '{"pid":'],
    ['no owner', {}],
    ['a wrong owner', { pid: -1, startTime: 1 }],
    ['this process', own],
  ])('is free when its file names %s', async (_, owner) => {
    const directory = await temporaryDirectory();
    await owned(directory, owner);
    await claim(directory);
    expect(JSON.parse(await readFile(join(directory, 'daemon.json'), 'utf8'))).toEqual(own);
  });
});
