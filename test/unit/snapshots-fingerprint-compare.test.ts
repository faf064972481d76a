/** The comparison of fingerprints: its rules one by one, then what must hold whatever is compared. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { AppShotError } from '../../src/common/index.ts';
import { compareFingerprints, refuseDifferences } from '../../src/snapshots/index.ts';
import type { Difference, Machine, MappedFile } from '../../src/snapshots/index.ts';

const file = (changes: Partial<MappedFile> = {}): MappedFile => ({
  path: '/lib/libc.so.6',
  size: 10,
  code: true,
  buildId: 'aa',
  ...changes,
});
const base: Machine = {
  architecture: 'x86_64',
  cpu: { vendor: 'A', family: '6', model: 'M', features: ['avx2', 'avx512f', 'xsave'] },
  signalFrame: 4000,
  pageSize: 4096,
  kernel: '6.12.48+deb13-amd64',
  engine: '4.1.1',
  format: 1,
};
const compare = (
  saved: Partial<Machine>,
  here: Partial<Machine>,
  files: [saved: MappedFile[], here: MappedFile[]] = [[], []],
): Difference[] =>
  compareFingerprints(
    { machine: { ...base, ...saved }, files: files[0] },
    { machine: { ...base, ...here }, files: files[1] },
  );
const brief = (differences: Difference[]) => differences.map(({ kind, name, fatal }) => [kind, name, fatal]);
const cpu = (...features: string[]): Machine['cpu'] => ({ ...base.cpu, features });

describe('the comparison', () => {
  it('refuses missing features, for good where registers would be lost', () => {
    const found = compare({}, { cpu: cpu('xsave', 'amx_tile') });
    expect(brief(found)).toEqual([
      ['cpu', 'avx2', false],
      ['cpu', 'avx512f', true],
    ]);
  });

  it('refuses a smaller signal frame, and takes a larger or unknown one', () => {
    expect(brief(compare({}, { signalFrame: 3000 }))).toEqual([['cpu', 'signal frame', true]]);
    const amx = compare({ cpu: cpu('amx_tile') }, { signalFrame: 3000, cpu: cpu() });
    expect(brief(amx)).toEqual([
      ['cpu', 'amx_tile', false],
      ['cpu', 'signal frame', false],
    ]);
    expect(compare({}, { signalFrame: 5000 })).toEqual([]);
    expect(compare({}, { signalFrame: 0 })).toEqual([]);
  });

  it.each([
    ['6.12.1', true],
    ['6.12.99-other', true],
    ['7.0.0', true],
    ['6.13.0-rc1', true],
    ['6.6.200', false],
    ['5.19.0', false],
    ['odd', false],
  ])('kernel %s in place of 6.12.48: %s', (kernel, fits) => {
    expect(brief(compare({}, { kernel }))).toEqual(fits ? [] : [['kernel', 'kernel', false]]);
  });

  it.each([
    ['4.1.1', true],
    ['4.2', true],
    ['4.10', true],
    ['4.1', false],
    ['3.19', false],
  ])('CRIU %s in place of 4.1.1: %s', (engine, fits) => {
    expect(brief(compare({}, { engine }))).toEqual(fits ? [] : [['engine', 'CRIU', false]]);
  });

  it('never takes another page size, architecture or newer format', () => {
    expect(brief(compare({}, { pageSize: 65_536 }))).toEqual([['page-size', 'page size', true]]);
    expect(brief(compare({ format: 2 }, {}))).toEqual([['format', 'snapshot format', true]]);
    expect(brief(compare({}, { architecture: 'aarch64', cpu: cpu('fp'), pageSize: 16_384 }))).toEqual([
      ['architecture', 'architecture', true],
    ]);
  });

  const data = file({ code: false, buildId: undefined, sha256: 'b'.repeat(64) });
  it.each<[string, MappedFile, MappedFile[], boolean[]]>([
    ['the same', file(), [file()], []],
    ['missing', file(), [], [true]],
    ['another build ID', file(), [file({ buildId: 'bb' })], [true]],
    ['another size', file(), [file({ size: 11 })], [true]],
    ['data with other contents', data, [{ ...data, sha256: 'c'.repeat(64) }], [false]],
    ['data with another size', data, [{ ...data, size: 11 }], [true]],
    ['executable without build ID', { ...data, code: true }, [{ ...data, sha256: 'c'.repeat(64) }], [true]],
    ['data that became code', data, [file()], [true]],
  ])('of a file: %s', (_, saved, here, fatal) => {
    expect(compare({}, {}, [[saved], here]).map((difference) => difference.fatal)).toEqual(fatal);
  });

  const machines = fc.record({
    architecture: fc.constantFrom('x86_64', 'aarch64'),
    cpu: fc
      .subarray(['avx', 'avx2', 'sse2', 'erms', 'sve'])
      .map((features) => ({ vendor: '', family: '', model: '', features })),
    signalFrame: fc.nat(3),
    pageSize: fc.constantFrom(4096, 65_536),
    kernel: fc.constantFrom('6.1.0', '6.12.1', '5.10.3-x', 'odd'),
    engine: fc.constantFrom('4.1', '4.1.1', '4.2'),
    format: fc.integer({ min: 1, max: 2 }),
  });
  const files = fc.uniqueArray(
    fc.record({
      path: fc.constantFrom('/a', '/b', '/c'),
      size: fc.nat(1),
      code: fc.boolean(),
      buildId: fc.option(fc.constantFrom('aa', 'bb'), { nil: undefined }),
    }),
    { selector: ({ path }) => path },
  );
  const fingerprints = fc.record({ machine: machines, files });

  it('finds nothing between equals, or where there is only more', () => {
    fc.assert(
      fc.property(fingerprints, files, (saved, extra) => {
        expect(compareFingerprints(saved, saved)).toEqual([]);
        const known = new Set(saved.files.map(({ path }) => path));
        const here = {
          machine: { ...saved.machine, cpu: cpu('more', ...saved.machine.cpu.features) },
          files: [...extra.filter(({ path }) => !known.has(path)), ...saved.files],
        };
        expect(compareFingerprints(saved, here)).toEqual([]);
      }),
    );
  });

  const narrow = fc.record({
    cpu: fc.subarray(['avx', 'erms']).map((features) => cpu(...features)),
    signalFrame: fc.integer({ min: 1, max: 2 }),
    kernel: fc.constantFrom('6.1.0', '6.12.1', 'odd'),
    engine: fc.constantFrom('4.1', '4.2'),
  });

  it('fits along a chain of machines: what fits there, and from there here, fits here', () => {
    fc.assert(
      fc.property(narrow, narrow, narrow, (a, b, c) => {
        fc.pre(compare(a, b).length === 0 && compare(b, c).length === 0);
        expect(compare(a, c)).toEqual([]);
      }),
      { maxSkipsPerRun: 5000 },
    );
  });

  it('tells each difference in one line of text, and what to do', () => {
    fc.assert(
      fc.property(fingerprints, fingerprints, (saved, here) => {
        for (const { name, advice, ...values } of compareFingerprints(saved, here)) {
          expect([name, advice, values.saved, values.here].join('')).not.toMatch(/\n|undefined/);
          expect(advice).not.toBe('');
        }
      }),
    );
  });
});

describe('the refusal', () => {
  const refuse = (differences: Difference[], force = false): AppShotError | undefined => {
    try {
      refuseDifferences('web', differences, { force });
    } catch (error) {
      if (error instanceof AppShotError) return error;
      throw error;
    }
    return undefined;
  };

  it('names each difference in one line and carries them whole', () => {
    const found = compare({}, { kernel: '5.10.1', pageSize: 65_536 }, [[file({ path: '/a\nb' })], []]);
    const error = refuse(found);
    expect(error?.code).toBe('FINGERPRINT_MISMATCH');
    expect(error?.message).toBe(
      'the snapshot of web does not fit this machine: page size is 65536 bytes here and was 4096 bytes; ' +
        'kernel is 5.10.1 here and was 6.12.48+deb13-amd64; ' +
        String.raw`file /a\nb is missing here and was 10 bytes, build ID aa`,
    );
    expect(error?.details['differences']).toEqual(found);
  });

  it('gives way to force only where that can be safe', () => {
    const older = compare({}, { kernel: '5.10.1' });
    expect(refuse(older)?.hint).toContain('--force');
    expect(refuse(older, true)).toBeUndefined();
    const both = compare({}, { kernel: '5.10.1', pageSize: 65_536 });
    expect(refuse(both)?.hint).toContain('cannot be forced');
    expect(refuse(both, true)?.details['differences']).toHaveLength(1);
    expect(refuse([])).toBeUndefined();
  });

  it('stays short when a whole family of features is missing', () => {
    const features = Array.from({ length: 50 }, (_, number) => `feature${number}`);
    const error = refuse(compare({ cpu: cpu(...features) }, { cpu: cpu() }));
    expect(error?.message).toMatch(/; 38 more$/);
    expect(error?.details['differences']).toHaveLength(50);
  });
});
