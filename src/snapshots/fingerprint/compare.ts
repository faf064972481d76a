/**
 * Whether a snapshot fits a machine: what it was taken with against what is here, purely. Every difference refuses a wake. Those that
 * can at worst end the woken programs, with the snapshot intact, may be forced; those that the engine would refuse
 * anyway, or that would leave programs running with wrong registers or code, may not. The table is in docs/fingerprint.md.
 */
import type { Fingerprint, Machine, MappedFile } from './schema.ts';

export interface Difference {
  readonly kind: 'architecture' | 'page-size' | 'cpu' | 'kernel' | 'engine' | 'format' | 'file';
  /** Which one: a CPU feature, a path. */
  readonly name: string;
  readonly saved: string;
  readonly here: string;
  /** Whether it refuses even when forced. */
  readonly fatal: boolean;
  /** What to do about it. */
  readonly advice: string;
}

/**
 * Features that bring registers of their own: without them CRIU drops a part of the saved registers and says nothing. AMX is not
 * among them, because CRIU doesn't save its registers anywhere: they are lost on the same machine too.
 */
const WITH_REGISTERS: Readonly<Record<string, RegExp>> = {
  x86_64: /^(fpu|fxsr|sse2?|xsave|avx|avx512f|mpx|pku|ospke|apx|apx_f|user_shstk)$/,
  aarch64: /^(fp|asimd|sve2?|sme2?|paca|pacg|mte3?|poe|gcs|fpmr)$/,
};

const ELSEWHERE = 'wake it on a machine like the one where it was taken';

const compareCpu = (saved: Machine, here: Machine): Difference[] => {
  const present = new Set(here.cpu.features);
  const missing = saved.cpu.features
    .filter((feature) => !present.has(feature))
    .map((feature) => {
      const fatal = WITH_REGISTERS[saved.architecture]?.test(feature) ?? true;
      const advice = fatal ? ELSEWHERE : `${ELSEWHERE}; forced, a program that uses it ends with SIGILL`;
      return { kind: 'cpu', name: feature, saved: 'present', here: 'missing', fatal, advice } as const;
    });
  if (here.signalFrame === 0 || saved.signalFrame <= here.signalFrame) return missing;
  // AMX alone makes up 8 KiB of it. Registers that no feature names must not be lost either.
  const explained = missing.some(({ name }) => name === 'amx_tile');
  return [
    ...missing,
    {
      kind: 'cpu',
      name: 'signal frame',
      saved: `${saved.signalFrame} bytes`,
      here: `${here.signalFrame} bytes`,
      fatal: !explained,
      advice: explained ? `${ELSEWHERE}; forced, the registers of AMX are lost` : ELSEWHERE,
    },
  ];
};

const SERIES = /^\d{1,6}(\.\d{1,6})*/;

/**
 * Whether version `here` is older than `saved` in its first `parts` numbers; a version that doesn't begin with a number is older
 * than all others, because nothing is known of it.
 */
const isOlder = (here: string, saved: string, parts: number): boolean => {
  if (here === saved) return false;
  const numbers = (version: string): number[] | undefined => SERIES.exec(version)?.[0].split('.').map(Number);
  const [ours, theirs] = [numbers(here), numbers(saved)];
  if (!ours || !theirs) return true;
  for (let part = 0; part < parts; part += 1) {
    const difference = (ours[part] ?? 0) - (theirs[part] ?? 0);
    if (difference !== 0) return difference < 0;
  }
  return false;
};

const compareSoftware = (saved: Machine, here: Machine): Difference[] => {
  const differences: Difference[] = [];
  // Within a series (6.12.*) the kernel's interface does not change.
  if (isOlder(here.kernel, saved.kernel, 2))
    differences.push({
      kind: 'kernel',
      name: 'kernel',
      saved: saved.kernel,
      here: here.kernel,
      fatal: false,
      advice: 'boot that kernel or a newer one; forced, programs may miss system calls that they found',
    });
  if (isOlder(here.engine, saved.engine, 4))
    differences.push({
      kind: 'engine',
      name: 'CRIU',
      saved: saved.engine,
      here: here.engine,
      fatal: false,
      advice: 'install that CRIU or a newer one; forced, it refuses images that it does not understand',
    });
  if (saved.format > here.format)
    differences.push({
      kind: 'format',
      name: 'snapshot format',
      saved: String(saved.format),
      here: String(here.format),
      fatal: true,
      advice: 'install the AppShot that took it, or a newer one',
    });
  return differences;
};

const compareMachines = (saved: Machine, here: Machine): Difference[] => {
  if (saved.architecture !== here.architecture) {
    // Features have other names there: listing them would bury the cause.
    const { architecture: name } = saved;
    return [
      {
        kind: 'architecture',
        name: 'architecture',
        saved: name,
        here: here.architecture,
        fatal: true,
        advice: ELSEWHERE,
      },
    ];
  }
  const differences = [...compareCpu(saved, here), ...compareSoftware(saved, here)];
  if (saved.pageSize === here.pageSize) return differences;
  const sizes = { saved: `${saved.pageSize} bytes`, here: `${here.pageSize} bytes` };
  return [
    {
      kind: 'page-size',
      name: 'page size',
      ...sizes,
      fatal: true,
      advice: 'boot a kernel with that page size',
    },
    ...differences,
  ];
};

const describe = ({ size, buildId, sha256 }: MappedFile): string =>
  [`${size} bytes`, buildId && `build ID ${buildId}`, sha256 && `SHA-256 ${sha256}`]
    .filter(Boolean)
    .join(', ');

const INSTALL = 'install the version that was mapped, or restore the file';

const compareFile = (saved: MappedFile, here: MappedFile | undefined): Difference[] => {
  if (here && saved.size === here.size && saved.buildId === here.buildId && saved.sha256 === here.sha256)
    return [];
  const difference = { kind: 'file', name: saved.path, saved: describe(saved) } as const;
  if (!here) return [{ ...difference, here: 'missing', fatal: true, advice: INSTALL }];
  // The engine refuses another size by itself; other code of the same size would run with the old code's addresses.
  const fatal = saved.code || here.code || saved.size !== here.size;
  const advice = fatal ? INSTALL : `${INSTALL}; forced, pages that were not changed have the new contents`;
  return [{ ...difference, here: describe(here), fatal, advice }];
};

/** What keeps the snapshot from waking here, machine first, then files in the order saved. Empty when it fits. */
export const compareFingerprints = (saved: Fingerprint, here: Fingerprint): Difference[] => {
  const files = new Map(here.files.map((file) => [file.path, file]));
  return [
    ...compareMachines(saved.machine, here.machine),
    ...saved.files.flatMap((file) => compareFile(file, files.get(file.path))),
  ];
};
