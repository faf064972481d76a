import { existsSync } from 'node:fs';
import { chmod, mkdir, mkdtemp, readFile, readdir, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { AppShotError } from '../../src/common/index.ts';
import { loadEngine } from '../../src/criu/index.ts';
import { run } from '../../src/exec/index.ts';
import { presentCopies, privateCommand } from '../../src/setup/candidates.ts';
import { setupFailure } from '../../src/setup/failure.ts';
import { sweep, withTemporaryDirectory } from '../../src/setup/files.ts';
import { compileInit, hashOfSource } from '../../src/setup/init-program.ts';
import { withLock } from '../../src/setup/lock.ts';
import { mirrorAmong } from '../../src/setup/mirror.ts';
import { missingAmong, neededPackages } from '../../src/setup/packages.ts';
import { keepFromStarting, withoutServices } from '../../src/setup/services.ts';
import { covers, readStamp, writeStamp } from '../../src/setup/stamp.ts';
import type { Stamp } from '../../src/setup/stamp.ts';
import { compareVersions, parseVersion } from '../../src/setup/trial.ts';

let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'appshot-setup-'));
});
afterEach(() => rm(directory, { recursive: true, force: true }));

describe('the stamp', () => {
  const stamp: Stamp = {
    format: 1,
    kernel: '6.1.0',
    machine: 'x86_64',
    init: '0123456789ab',
    dpkg: '1 2',
    packages: ['gcc', 'perl'],
  };

  it('covers the same machine with the same packages or fewer', () => {
    expect(covers(stamp, stamp)).toBe(true);
    expect(covers(stamp, { ...stamp, packages: ['gcc'] })).toBe(true);
  });

  it.each([
    ['another package is needed', { packages: ['gcc', 'wrk'] }],
    ['the kernel is another', { kernel: '6.2.0' }],
    ['a package came or went', { dpkg: '3 2' }],
    ['the init changed', { init: 'ba9876543210' }],
  ])('does not cover when %s', (_, change) => {
    expect(covers(stamp, { ...stamp, ...change })).toBe(false);
  });

  it('comes back as it was written, and counts as absent when it is damaged', async () => {
    expect(await readStamp(directory)).toBeUndefined();
    await writeStamp(directory, stamp);
    expect(await readStamp(directory)).toEqual(stamp);
    await writeFile(join(directory, 'stamp.json'), '{"format":1');
    expect(await readStamp(directory)).toBeUndefined();
    expect(covers(undefined, stamp)).toBe(false);
  });
});

describe('packages', () => {
  it('finds those that dpkg does not know or has only in part', () => {
    const printed = 'gcc installed\nperl config-files\nlibc6-dev half-installed\n';
    expect(missingAmong(['gcc', 'perl', 'libc6-dev', 'wrk'], printed)).toEqual(['perl', 'libc6-dev', 'wrk']);
  });

  it('needs more for testing', () => {
    expect(neededPackages(true)).toEqual(
      expect.arrayContaining([...neededPackages(false), 'caddy', 'redis-server']),
    );
    expect(neededPackages(false)).not.toContain('redis-server');
    expect(neededPackages(false)).toContain('haproxy');
  });

  it.each([
    ['Debian bookworm http://mirror.example/debian/\n', 'http://mirror.example/debian/'],
    [
      'Debian bookworm-security http://a.example/\nOther nodistro http://b.example/\nDebian trixie http://c.example/',
      'http://c.example/',
    ],
    ['$(ORIGIN) bookworm http://mirror.example/debian/', undefined],
    ['', undefined],
  ])('finds the mirror among %j', (printed, expected) => {
    expect(mirrorAmong(printed)).toBe(expected);
  });
});

describe('services', () => {
  it('are forbidden meanwhile, and the policy of the machine comes back', async () => {
    const policy = join(directory, 'policy-rc.d');
    await writeFile(policy, 'mine', { mode: 0o700 });
    const attempt = withoutServices(async () => {
      await expect(run(policy)).rejects.toThrow('exit code 101');
      throw new Error('broken off');
    }, policy);
    await expect(attempt).rejects.toThrow('broken off');
    expect(await readFile(policy, 'utf8')).toBe('mine');
    expect((await stat(policy)).mode & 0o777).toBe(0o700);
    expect(await readdir(directory)).toEqual(['policy-rc.d']);
  });

  it('are forbidden where there is no policy, and nothing stays behind', async () => {
    const policy = join(directory, 'policy-rc.d');
    await withoutServices(() => expect(run(policy)).rejects.toThrow('exit code 101'), policy);
    expect(await readdir(directory)).toEqual([]);
  });

  it('do not start with the machine either', async () => {
    const [units, wants] = ['lib/systemd/system', 'etc/systemd/system/multi-user.target.wants'];
    for (const place of [units, wants, 'etc/init.d', 'etc/rc3.d', 'var/lib/systemd'])
      await mkdir(join(directory, place), { recursive: true });
    const place = (...names: string[]): string => join(directory, ...names);
    const script =
      '#!/bin/sh\n### BEGIN INIT INFO\n# Provides: haproxy\n# Required-Start:\n# Required-Stop:\n# Default-Start: 3\n# Default-Stop: 0\n### END INIT INFO\n';
    await writeFile(place('etc/init.d/haproxy'), script, { mode: 0o755 });
    await symlink('../init.d/haproxy', place('etc/rc3.d/S01haproxy'));
    for (const name of ['haproxy', 'caddy', 'other']) {
      await writeFile(place(units, `${name}.service`), '[Install]\nWantedBy=multi-user.target\n');
      // As their packages do when they are installed.
      const env = { ...process.env, DPKG_ROOT: directory, DPKG_MAINTSCRIPT_PACKAGE: name };
      await run('deb-systemd-helper', ['enable', `${name}.service`], { env });
    }
    expect(await readdir(place(wants))).toHaveLength(3);
    for (let turn = 0; turn < 2; turn++) {
      await keepFromStarting(['haproxy', 'caddy'], directory);
      expect(await readdir(place(wants))).toEqual(['other.service']);
      expect(await readdir(place('etc/rc3.d'))).toEqual(['K01haproxy']);
    }
  });

  it('get their policy back from the next set-up when one was killed', async () => {
    const policy = join(directory, 'policy-rc.d');
    await writeFile(policy, 'mine');
    await withoutServices(async () => {
      const [ours, theirs] = [await readFile(policy), await readFile(`${policy}.before-appshot`)];
      await writeFile(join(directory, 'ours'), ours);
      await writeFile(join(directory, 'theirs'), theirs);
    }, policy);
    await writeFile(policy, await readFile(join(directory, 'ours')));
    await writeFile(`${policy}.before-appshot`, await readFile(join(directory, 'theirs')));
    await withoutServices(() => Promise.resolve(), policy);
    expect(await readFile(policy, 'utf8')).toBe('mine');
    expect(existsSync(`${policy}.before-appshot`)).toBe(false);
  });
});

describe('the lock', () => {
  it('lets the second wait for the first', async () => {
    const order: string[] = [];
    const waits = Promise.withResolvers<void>();
    const startSecond = (): Promise<number> =>
      withLock(
        directory,
        () => {
          order.push('second waits');
          waits.resolve();
        },
        () => Promise.resolve(order.push('second')),
      );
    let second: Promise<number> | undefined;
    await withLock(
      directory,
      () => expect.unreachable(),
      async () => {
        second = startSecond();
        await waits.promise;
        order.push('first');
      },
    );
    await second;
    expect(order).toEqual(['second waits', 'first', 'second']);
  });

  it('is free again after a failure', async () => {
    const never = (): void => expect.unreachable();
    await expect(withLock(directory, never, () => Promise.reject(new Error('broken')))).rejects.toThrow(
      'broken',
    );
    expect(await withLock(directory, never, () => Promise.resolve(1))).toBe(1);
  });
});

describe('things in the making', () => {
  it('are gone afterwards, and swept after a crash', async () => {
    await expect(
      withTemporaryDirectory(directory, async (made) => {
        await writeFile(join(made, 'file'), '');
        throw new Error('broken off');
      }),
    ).rejects.toThrow('broken off');
    expect(await readdir(directory)).toEqual([]);
    await mkdir(join(directory, '.left/over'), { recursive: true });
    await mkdir(join(directory, 'criu-4.1.1'));
    await sweep(directory);
    expect(await readdir(directory)).toEqual(['criu-4.1.1']);
  });
});

describe('a CRIU', () => {
  it('is told by its version', () => {
    expect(parseVersion('Version: 4.1.1\n')).toBe('4.1.1');
    expect(parseVersion('Version: 4.2\nGitID: v4.2-13-g0123\n')).toBe('4.2');
    expect(() => parseVersion('nothing')).toThrow('no version');
  });

  it.each([
    ['3.17.1', '4.0', -1],
    ['4.0', '4.0', 0],
    ['4.0', '4.0.0', 0],
    ['4.10', '4.9.1', 1],
  ])('%s against %s', (a, b, sign) => {
    expect(Math.sign(compareVersions(a, b))).toBe(sign);
  });

  it('of a private copy starts by its own linker', () => {
    expect(privateCommand('/e/criu-4', 'arm64')).toEqual([
      '/e/criu-4/usr/lib/aarch64-linux-gnu/ld-linux-aarch64.so.1',
      '--library-path',
      '/e/criu-4/usr/lib/aarch64-linux-gnu',
      '/e/criu-4/usr/sbin/criu',
    ]);
    expect(() => privateCommand('/e', 'mips')).toThrow('mips');
  });

  it('that is here already is tried newest first', async () => {
    for (const name of ['criu-4.9-1', 'criu-4.10-1', 'init-0', 'criu-old'])
      await mkdir(join(directory, name));
    expect((await presentCopies(directory)).map(({ label }) => label)).toEqual(['criu-4.10-1', 'criu-4.9-1']);
  });
});

describe('the init', () => {
  it('is compiled once from all its sources, static, and named by them', async () => {
    const sources = join(directory, 'native');
    await mkdir(sources);
    await writeFile(join(sources, 'ready.h'), 'int ready(void);\n');
    await writeFile(join(sources, 'init.c'), '#include "ready.h"\nint main(void) { return ready(); }\n');
    const ready = '#include <stdio.h>\n#include "ready.h"\nint ready(void) { return puts("ready") < 0; }\n';
    await writeFile(join(sources, 'ready.c'), ready);
    const path = await compileInit(directory, sources);
    expect(path).toBe(join(directory, `init-${await hashOfSource(sources)}`));
    expect((await run(path)).stdout).toBe('ready\n');
    const { ino } = await stat(path);
    expect(await compileInit(directory, sources)).toBe(path);
    expect((await stat(path)).ino).toBe(ino);
    await writeFile(join(sources, 'ready.h'), 'int ready(void); /* changed */\n');
    expect(await compileInit(directory, sources)).not.toBe(path);
  });

  it('fails with the reason, and leaves nothing', async () => {
    await expect(compileInit(directory, join(directory, 'none'))).rejects.toThrow(
      'the package is incomplete',
    );
    const sources = join(directory, 'native');
    await mkdir(sources);
    await writeFile(join(sources, 'init.c'), 'int main(void) { return missing; }\n');
    await expect(compileInit(directory, sources)).rejects.toThrow('gcc failed');
    expect(await readdir(directory)).toEqual(['native']);
  });
});

describe('a failure', () => {
  const toolError = (stderr: string): AppShotError =>
    new AppShotError('TOOL_FAILED', { tool: 'apt-get', status: 'exit code 100' }, { details: { stderr } });

  it('names the step and the telling lines', () => {
    const error = setupFailure(
      'installing packages',
      toolError('Reading...\nE: broken packages\nmore'),
      '/e',
    );
    expect(error.code).toBe('SETUP_FAILED');
    expect(error.message).toBe('set-up failed at installing packages: E: broken packages');
  });

  it('says so when the network is missing', () => {
    const error = setupFailure('s', toolError("E: Failed to fetch x  Temporary failure resolving 'x'"), '/e');
    expect(error.message).toContain('the package mirror cannot be reached');
  });

  it('says so when the disk is full', () => {
    const full = Object.assign(new Error('write'), { code: 'ENOSPC' });
    expect(setupFailure('s', full, '/e').code).toBe('NO_SPACE');
    expect(setupFailure('s', toolError('tar: Cannot write: No space left on device'), '/e').code).toBe(
      'NO_SPACE',
    );
  });

  it('stays what it is when it has a name already', () => {
    const inner = setupFailure('inner', new Error('x'), '/e');
    expect(setupFailure('outer', inner, '/e')).toBe(inner);
  });
});

describe('the engine record', () => {
  const write = async (change: object = {}): Promise<void> => {
    for (const name of ['criu', 'init', 'descriptors']) {
      await writeFile(join(directory, name), '', { mode: 0o755 });
    }
    const record = {
      format: 1,
      version: '4.1.1',
      source: 'distribution',
      command: [join(directory, 'criu')],
      descriptors: join(directory, 'descriptors'),
      init: join(directory, 'init'),
      testedOn: { kernel: '6.1.0', machine: 'x86_64' },
      ...change,
    };
    await writeFile(join(directory, 'engine.json'), JSON.stringify(record));
  };
  const failure = (): AppShotError => {
    try {
      loadEngine(directory);
    } catch (error) {
      if (error instanceof AppShotError) return error;
    }
    return expect.unreachable();
  };

  it('is read when all it names is there', async () => {
    await write();
    expect(loadEngine(directory)).toMatchObject({ version: '4.1.1', source: 'distribution' });
  });

  it('is missing before set-up', () => {
    expect(failure()).toMatchObject({ code: 'ENGINE_MISSING', hint: 'run `appshot setup`' });
    expect(failure().message).toContain('engine.json does not exist');
  });

  it.each([
    ['format', { format: 2 }],
    ['command', { command: [] }],
    ['descriptors', { descriptors: 'relative' }],
    ['version', { version: 'new' }],
  ])('is refused with a wrong %s', async (field, change) => {
    await write(change);
    expect(failure().message).toMatch(new RegExp(`is not valid: ${field}`));
  });

  it('is refused when it is not JSON, or too large', async () => {
    await writeFile(join(directory, 'engine.json'), '{');
    expect(failure().message).toContain('cannot be read');
    await writeFile(join(directory, 'engine.json'), ' '.repeat(70_000));
    expect(failure().message).toContain('too large');
  });

  it('is refused when a file is missing or cannot be executed', async () => {
    await write({ init: '/nowhere/init' });
    expect(failure().message).toContain('/nowhere/init');
    await write();
    await chmod(join(directory, 'init'), 0o644);
    expect(failure().message).toContain(join(directory, 'init'));
  });
});
