/** What a fingerprint is made of: this machine, its own files against readelf, and hostile headers. */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, realpathSync } from 'node:fs';
import { mkdtemp, rm, symlink, truncate, utimes, writeFile } from 'node:fs/promises';
import { release, tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { buildId } from '../../src/snapshots/fingerprint/build-id.ts';
import { LARGEST_HASHED } from '../../src/snapshots/fingerprint/files.ts';
import { parseCpu } from '../../src/snapshots/fingerprint/machine.ts';
import {
  compareFingerprints,
  Fingerprint,
  machineFingerprint,
  mappedFiles,
} from '../../src/snapshots/index.ts';

const machine = machineFingerprint({ engine: '4.2', format: 1 });
const sha256 = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex');
const inMemory =
  (bytes: Buffer) =>
  (offset: number, length: number): Buffer =>
    bytes.subarray(offset, offset + length);

/** What this very process has mapped, libc and the dynamic linker among it. */
const ownFiles = [
  ...new Set(
    readFileSync('/proc/self/maps', 'utf8')
      .match(/(?<= )\/\S+$/gm)
      ?.filter(existsSync),
  ),
];

const readelf = (path: string): string | undefined => {
  const { stdout } = spawnSync('readelf', ['-n', '-W', path], { encoding: 'utf8' });
  return /Build ID: ([0-9a-f]+)/.exec(stdout)?.[1];
};

let directory = '';
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'appshot-fingerprint-'));
});
afterAll(() => rm(directory, { recursive: true, force: true }));

describe('the machine', () => {
  it('is what the kernel says', () => {
    const { stdout } = spawnSync('uname', ['-m'], { encoding: 'utf8' });
    expect(machine).toMatchObject({
      architecture: stdout.trim(),
      kernel: release(),
      engine: '4.2',
      format: 1,
    });
    const { stdout: size } = spawnSync('getconf', ['PAGESIZE'], { encoding: 'utf8' });
    expect(machine.pageSize).toBe(Number(size));
    expect(machine.signalFrame).toBeGreaterThan(1000);
    expect(machine.cpu.features.length).toBeGreaterThan(5);
    expect(machine.cpu.features).toEqual(machine.cpu.features.toSorted());
  });

  it('fits its schema, and itself', () => {
    const fingerprint = Fingerprint.parse(JSON.parse(JSON.stringify({ machine, files: [] })));
    expect(fingerprint.machine).toEqual(machine);
    expect(compareFingerprints(fingerprint, fingerprint)).toEqual([]);
  });

  it('leaves out flags that only the kernel uses', () => {
    const text =
      'vendor_id\t: GenuineIntel\ncpu family\t: 6\nmodel name\t: X: Y\nflags\t\t: xsave smep avx ibrs avx';
    expect(parseCpu(text, 'x86_64')).toEqual({
      vendor: 'GenuineIntel',
      family: '6',
      model: 'X: Y',
      features: ['avx', 'xsave'],
    });
  });

  it('reads the words of arm64, where sme is for programs', () => {
    const text =
      'BogoMIPS\t: 50.00\nFeatures\t: fp asimd sme cpuid\nCPU implementer\t: 0x41\nCPU architecture: 8\nCPU part\t: 0xd0c';
    expect(parseCpu(text, 'aarch64')).toEqual({
      vendor: '0x41',
      family: '8',
      model: '0xd0c',
      features: ['asimd', 'fp', 'sme'],
    });
  });
});

describe('the build ID', () => {
  const oracle = spawnSync('readelf', ['--version']).status === 0;

  it.runIf(oracle)('of programs and libraries is what readelf reads', () => {
    const paths = ['/bin/sh', '/bin/bash', process.execPath, ...ownFiles];
    const read = paths.map((path) => [path, buildId(inMemory(readFileSync(path)))]);
    expect(read).toEqual(paths.map((path) => [path, readelf(path)]));
    expect(read.filter(([, id]) => id !== undefined).length).toBeGreaterThan(2);
  });

  const sample = readFileSync('/bin/sh').subarray(0, 16_384);
  /** Reads that count how much is asked for. */
  const bounded = (bytes: Buffer) => {
    let asked = 0;
    const read = (offset: number, length: number): Buffer => {
      asked += length;
      expect(Number.isSafeInteger(offset) && offset >= 0).toBe(true);
      return bytes.subarray(offset, offset + length);
    };
    return { read, asked: () => asked };
  };

  it('survives damaged headers, and reads little', () => {
    const change = fc.tuple(fc.nat(1023), fc.nat(255));
    fc.assert(
      fc.property(fc.array(change, { minLength: 1, maxLength: 24 }), fc.nat(16_384), (changes, length) => {
        const bytes = Buffer.from(sample.subarray(0, length));
        for (const [at, value] of changes) if (at < bytes.length && at >= 4) bytes[at] = value;
        const { read, asked } = bounded(bytes);
        expect(buildId(read) ?? '00').toMatch(/^([0-9a-f]{2}){1,64}$/);
        expect(asked()).toBeLessThanOrEqual(64 + 17 * 65_536);
      }),
      { numRuns: 3000 },
    );
  });

  it('survives any bytes behind the magic', () => {
    const kinds = fc.constantFrom([1, 1], [2, 1], [1, 2], [2, 2]);
    fc.assert(
      fc.property(kinds, fc.uint8Array({ maxLength: 600 }), (kind, rest) => {
        const bytes = Buffer.concat([Buffer.from('\x7fELF', 'latin1'), Buffer.from(kind), rest]);
        expect(buildId(bounded(bytes).read) ?? '00').toMatch(/^([0-9a-f]{2}){1,64}$/);
      }),
      { numRuns: 2000 },
    );
  });

  it('is read from 32 bits and the other byte order', () => {
    const bytes = Buffer.alloc(52 + 32 + 12 + 4 + 4);
    bytes.write('\x7fELF\x01\x02', 'latin1');
    bytes.writeUInt32BE(52, 28);
    bytes.writeUInt16BE(32, 42);
    bytes.writeUInt16BE(1, 44);
    bytes.writeUInt32BE(4, 52);
    bytes.writeUInt32BE(84, 56);
    bytes.writeUInt32BE(20, 68);
    bytes.writeUInt32BE(4, 84);
    bytes.writeUInt32BE(4, 88);
    bytes.writeUInt32BE(3, 92);
    bytes.write('GNU\0', 96, 'latin1');
    bytes.writeUInt32BE(0xc0_ff_ee_00, 100);
    expect(buildId(inMemory(bytes))).toBe('c0ffee00');
  });
});

describe('mapped files', () => {
  const at = (name: string) => ({ path: `/app/${name}`, hostPath: join(directory, name) });
  const settled = new Date(0);

  it('have a build ID or a checksum, once each, by path', async () => {
    const own = ownFiles.map((path) => ({ path, hostPath: path }));
    const found = await mappedFiles([...own, ...own]);
    expect(found.map(({ path }) => path)).toEqual(ownFiles.toSorted());
    for (const { path, buildId: id, sha256: sum, code } of found)
      expect(id ?? (code ? 'hashed' : sum)).toBe(id ?? (code ? 'hashed' : sha256(readFileSync(path))));
    expect(Fingerprint.safeParse(JSON.parse(JSON.stringify({ machine, files: found }))).success).toBe(true);
    expect(await mappedFiles(own)).toEqual(found);
  });

  it('that are data are hashed, and code when mapped executable', async () => {
    await writeFile(join(directory, 'data'), 'abc');
    const expected = { path: '/app/data', size: 3, sha256: sha256(Buffer.from('abc')) };
    expect(await mappedFiles([at('data')])).toMatchObject([{ ...expected, code: false }]);
    expect(await mappedFiles([at('data'), { ...at('data'), executable: true }])).toMatchObject([
      { ...expected, code: true },
    ]);
    expect(await mappedFiles([at('data')])).toMatchObject([{ code: false }]);
  });

  it('are read again after a change of the same length and time of modification', async () => {
    for (const text of ['one', 'two', 'six']) {
      await writeFile(join(directory, 'changing'), text);
      await utimes(join(directory, 'changing'), settled, settled);
      const [file] = await mappedFiles([at('changing')]);
      expect(file?.sha256).toBe(sha256(Buffer.from(text)));
    }
  });

  it('are left out when there is no ordinary file', async () => {
    expect(spawnSync('mkfifo', [join(directory, 'fifo')]).status).toBe(0);
    await symlink('loop', join(directory, 'loop'));
    await writeFile(join(directory, 'plain'), '');
    const others = ['fifo', 'loop', 'none', 'plain/below', '.'].map(at);
    expect(await mappedFiles(others)).toEqual([]);
  });

  it('that are too large to hash are known by size', async () => {
    await writeFile(join(directory, 'large'), '');
    await truncate(join(directory, 'large'), LARGEST_HASHED + 1);
    const [file] = await mappedFiles([at('large')]);
    expect(file).toMatchObject({ size: LARGEST_HASHED + 1, code: false });
    expect(file?.sha256).toBeUndefined();
  });

  it('are read through a link of /proc too', async () => {
    const exe = realpathSync(process.execPath);
    const [file] = await mappedFiles([{ path: exe, hostPath: '/proc/self/exe' }]);
    expect([file]).toEqual(await mappedFiles([{ path: exe, hostPath: exe }]));
  });
});
