import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { describe, expect, it, onTestFinished } from 'vitest';
import { openSqliteRegistry } from '../../src/registry/index.ts';
import type { Registry } from '../../src/registry/index.ts';
import { registrationOf, registryContract, snapshotOf } from './registry-contract.ts';

const temporaryDirectory = async (): Promise<string> => {
  const directory = await mkdtemp(join(tmpdir(), 'appshot-registry-'));
  onTestFinished(() => rm(directory, { recursive: true, force: true }));
  return directory;
};
const newPath = async (): Promise<string> => join(await temporaryDirectory(), 'data', 'registry.db');
const failsWith = (code: string) => expect.objectContaining({ code }) as Error;

describe('the SQLite registry', () => {
  registryContract(async () => openSqliteRegistry(await newPath()));

  it('keeps everything over a restart', async () => {
    const path = await newPath();
    const first = await openSqliteRegistry(path);
    const { aid } = await first.registerApplication(registrationOf('web', { state: 'running' }));
    const asleep = await first.commitSleep(aid, 1, snapshotOf(aid, 'S1'));
    await first.addEnvironment({ id: 'E1', pid: 1, startTime: 2 });
    await first.close();
    const second = await openSqliteRegistry(path);
    expect(await second.list()).toEqual([asleep]);
    expect(await second.listSnapshots(aid)).toHaveLength(1);
    expect(await second.listEnvironments()).toHaveLength(1);
    // The next free address lies behind the last one given out, also before the restart.
    await second.remove(aid);
    expect(await second.registerApplication(registrationOf('web'))).toMatchObject({ address: '10.10.0.3' });
    await second.close();
  });

  it('keeps every change of a process that was killed', async () => {
    const path = await newPath();
    const program = `
      import { openSqliteRegistry } from ${JSON.stringify(join(import.meta.dirname, '../../src/registry/index.ts'))};
      const registry = await openSqliteRegistry(${JSON.stringify(path)});
      await registry.registerApplication(${JSON.stringify(registrationOf('web', { aid: 'W1' }))});
      for (;;) {
        const { epoch } = await registry.transition('W1', { states: ['registered'] }, 'registered');
        process.stdout.write(epoch + '\\n');
        await new Promise((resolve) => setImmediate(resolve));
      }`;
    const child = spawn(process.execPath, ['--input-type=module', '-e', program], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    let told = '';
    child.stdout.on('data', (data: Buffer) => {
      told += data.toString();
      if (told.length > 500) child.kill('SIGKILL');
    });
    await once(child, 'close');
    const lastTold = Number(told.trimEnd().split('\n').at(-1));
    const registry = await openSqliteRegistry(path);
    expect((await registry.find('W1'))?.epoch).toBeGreaterThanOrEqual(lastTold);
    await registry.close();
  });

  it('lets one of two processes win a transition', async () => {
    const path = await newPath();
    const [left, right] = [await openSqliteRegistry(path), await openSqliteRegistry(path)];
    const { aid } = await left.registerApplication(registrationOf('web', { state: 'asleep' }));
    const wake = (registry: Registry) => registry.transition(aid, { states: ['asleep'] }, 'waking');
    const won = await Promise.all([wake(left), wake(right)]);
    expect(won.filter((record) => record !== undefined)).toHaveLength(1);
    await Promise.all([left.close(), right.close()]);
  });

  it('changes state in well under a millisecond', async () => {
    const registry = await openSqliteRegistry(await newPath());
    onTestFinished(() => registry.close());
    const { aid } = await registry.registerApplication(registrationOf('web', { state: 'asleep' }));
    const times: number[] = [];
    for (let round = 0; round < 100; round += 1) {
      const start = performance.now();
      await registry.transition(aid, { states: ['asleep'] }, 'asleep', { step: `step${round}` });
      times.push(performance.now() - start);
    }
    expect(times.toSorted((a, b) => a - b)[50]).toBeLessThan(1);
  });
});

describe('a file that cannot be used', () => {
  const filled = async (): Promise<string> => {
    const path = await newPath();
    const registry = await openSqliteRegistry(path);
    for (let index = 0; index < 50; index += 1)
      await registry.registerApplication(registrationOf(`app${index}`));
    await registry.close();
    return path;
  };
  const alter = async (path: string, sql: string): Promise<void> => {
    const database = new DatabaseSync(path);
    database.exec(sql);
    database.close();
  };

  it('is refused when it is no database', async () => {
    const path = join(await temporaryDirectory(), 'registry.db');
    await writeFile(path, 'not a database, but long enough to have a header of its own\n'.repeat(100));
    await expect(openSqliteRegistry(path)).rejects.toThrow(failsWith('REGISTRY_CORRUPT'));
  });

  it('is refused when it is cut off', async () => {
    const path = await filled();
    const { size } = await stat(path);
    await truncate(path, size / 2);
    await expect(openSqliteRegistry(path)).rejects.toThrow(failsWith('REGISTRY_CORRUPT'));
  });

  it('is refused when its middle is overwritten', async () => {
    const path = await filled();
    const bytes = await readFile(path);
    await writeFile(path, bytes.fill(0x5a, bytes.length / 2, bytes.length / 2 + 8192));
    await expect(openSqliteRegistry(path)).rejects.toThrow(failsWith('REGISTRY_CORRUPT'));
  });

  it("is refused when it is another program's, or a newer version's", async () => {
    const foreign = join(await temporaryDirectory(), 'registry.db');
    await alter(foreign, 'CREATE TABLE mine (a)');
    await expect(openSqliteRegistry(foreign)).rejects.toThrow("another program's");
    const newer = await filled();
    await alter(newer, 'PRAGMA user_version = 99');
    await expect(openSqliteRegistry(newer)).rejects.toThrow('version 99');
  });

  it('keeps the snapshots that an older version recorded', async () => {
    const path = await filled();
    const before = await openSqliteRegistry(path);
    const { aid } = (await before.find('app7')) ?? {};
    await before.addSnapshot(snapshotOf(String(aid), 'S7'));
    await before.close();
    // As version 2 had it: owned by applications alone.
    await alter(
      path,
      `DROP TABLE templates; DROP TABLE networks;
       CREATE TABLE old (id TEXT PRIMARY KEY, aid TEXT NOT NULL REFERENCES applications (aid) ON DELETE CASCADE,
         takenAt TEXT NOT NULL, bytes INTEGER NOT NULL, parent TEXT, manifest TEXT NOT NULL, digest TEXT NOT NULL,
         pinned INTEGER NOT NULL, kind TEXT NOT NULL DEFAULT 'sleep', durable INTEGER NOT NULL DEFAULT 1,
         expiresAt TEXT, tree TEXT) STRICT;
       INSERT INTO old SELECT * FROM snapshots;
       DROP TABLE snapshots;
       ALTER TABLE old RENAME TO snapshots;
       PRAGMA user_version = 2`,
    );
    const registry = await openSqliteRegistry(path);
    onTestFinished(() => registry.close());
    expect(await registry.listSnapshots(aid)).toEqual([snapshotOf(String(aid), 'S7')]);
    expect(await registry.listTemplates()).toEqual([]);
    expect(await registry.remove(String(aid))).toBe(true);
    expect(await registry.listSnapshots()).toEqual([]);
  });

  it('fails where a row was altered, and only there', async () => {
    const path = await filled();
    await alter(path, `UPDATE applications SET data = '{"cut' WHERE name = 'app7'`);
    const registry = await openSqliteRegistry(path);
    onTestFinished(() => registry.close());
    await expect(registry.find('app7')).rejects.toThrow(failsWith('REGISTRY_CORRUPT'));
    expect(await registry.find('app8')).toMatchObject({ name: 'app8' });
  });

  it('is told apart when it is out of reach', async () => {
    const directory = await temporaryDirectory();
    await expect(openSqliteRegistry(directory)).rejects.toThrow(failsWith('REGISTRY_UNUSABLE'));
  });
});

// A file system of its own is the only honest full disk; mounting it needs root.
describe.runIf(process.getuid?.() === 0)('a full disk', () => {
  it('says when what was committed cannot be made durable', async () => {
    const path = await newPath();
    const registry = await openSqliteRegistry(path);
    const [web] = await registry.registerApplications([registrationOf('web')]);
    await registry.flush();
    await rm(`${path}-wal`);
    await expect(registry.flush()).rejects.toThrow(failsWith('REGISTRY_UNUSABLE'));
    expect(await registry.list()).toEqual([web]);
    await registry.close();
  });

  it('fails with NO_SPACE, changes nothing, and is used again when there is space', async () => {
    const directory = await temporaryDirectory();
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=512k', 'tmpfs', directory]);
    onTestFinished(() => {
      execFileSync('umount', ['--lazy', directory]);
    });
    const registry = await openSqliteRegistry(join(directory, 'registry.db'));
    onTestFinished(() => registry.close());
    const { aid } = await registry.registerApplication(registrationOf('web', { state: 'running' }));
    const ballast = join(directory, 'ballast');
    await expect(writeFile(ballast, Buffer.alloc(1 << 20))).rejects.toThrow('ENOSPC');
    const commit = async () =>
      registry.commitSleep(aid, 1, snapshotOf(aid, 'S1'), { data: { fill: 'x'.repeat(40_000) } });
    await expect(commit()).rejects.toThrow(failsWith('NO_SPACE'));
    expect(await registry.find(aid)).toMatchObject({ state: 'running', epoch: 1, data: {} });
    expect(await registry.getSnapshot('S1')).toBeUndefined();
    await rm(ballast);
    expect(await commit()).toMatchObject({ state: 'asleep', snapshot: 'S1' });
  });
});
