/** Layers in a fresh dump: each process gets entries of its own for them. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { decodeImage, encodeImage } from '../../src/criu/index.ts';
import type { Fields, ImageEntry } from '../../src/criu/index.ts';
import { separateLayers } from '../../src/snapshots/index.ts';
import { builtSchema } from './criu-schema.ts';

const COMMON = 0x54564319;
const FILES = [COMMON, 0x56303138];
const MEMORY = [COMMON, 0x57492820];
/** A private mapping of a file, which is the program's own. */
const FILE_PRIVATE = (1 << 0) | (1 << 6);
const LAYER = '/.appshot/memory/00112233445566778899aabbccddeeff';

interface Vma {
  readonly file: number;
  readonly from: number;
}

interface Dump {
  readonly directory: string;
  /** What each mapping of a process maps, by the name of the file. */
  mapped(pid: number): [id: number, name: string][];
}

const dumpOf = (
  files: Readonly<Record<number, string>>,
  processes: Readonly<Record<number, readonly Vma[]>>,
): Dump => {
  const directory = mkdtempSync(join(tmpdir(), 'appshot-separate-'));
  onTestFinished(() => rmSync(directory, { recursive: true }));
  const write = (name: string, magics: number[], entries: ImageEntry[]): void =>
    writeFileSync(join(directory, name), encodeImage(builtSchema, { name, magics, entries }));
  const read = (name: string) => decodeImage(builtSchema, name, readFileSync(join(directory, name)));
  write(
    'files.img',
    FILES,
    Object.entries(files).map(([id, name]) => ({
      message: { type: 1, id: Number(id), reg: { id: Number(id), name } },
    })),
  );
  for (const [pid, vmas] of Object.entries(processes))
    write(`mm-${pid}.img`, MEMORY, [
      {
        message: {
          vmas: vmas.map(({ file, from }, index) => ({
            start: BigInt(index) * 0x10000n,
            end: BigInt(index) * 0x10000n + 0x1000n,
            pgoff: BigInt(from),
            shmid: BigInt(file),
            flags: 2,
            status: FILE_PRIVATE,
          })),
        },
      },
    ]);
  return {
    directory,
    mapped: (pid) => {
      const names = new Map(
        read('files.img').entries.map(({ message }) => [
          Number(message['id']),
          (message['reg'] as Fields)['name'],
        ]),
      );
      const vmas = read(`mm-${pid}.img`).entries[0]?.message['vmas'] as Fields[];
      return vmas.map(({ shmid }) => [Number(shmid), String(names.get(Number(shmid)))]);
    },
  };
};

it('a process and its children know a layer by different entries, and other files by the same', () => {
  const vmas = [
    { file: 7, from: 0 },
    { file: 3, from: 0 },
    { file: 7, from: 4096 },
  ];
  const dump = dumpOf({ 3: '/lib/c.so', 7: LAYER }, { 10: vmas, 11: vmas, 12: vmas });
  separateLayers(builtSchema, dump.directory);
  const mapped = [10, 11, 12].map(dump.mapped);
  for (const process of mapped) {
    expect(process.map(([, name]) => name)).toEqual([LAYER, '/lib/c.so', LAYER]);
    expect(process[0]?.[0]).toBe(process[2]?.[0]);
    expect(process[1]?.[0]).toBe(3);
  }
  expect(new Set(mapped.map(([layer]) => layer?.[0])).size).toBe(3);
});

it.each([
  ['one process', { 10: [{ file: 7, from: 0 }] }, { 7: LAYER }],
  ['no layer', { 10: [{ file: 7, from: 0 }], 11: [{ file: 7, from: 0 }] }, { 7: '/lib/c.so' }],
])('nothing changes with %s', (_, processes, files) => {
  const dump = dumpOf(files, processes);
  const before = readFileSync(join(dump.directory, 'files.img'));
  separateLayers(builtSchema, dump.directory);
  expect(readFileSync(join(dump.directory, 'files.img'))).toEqual(before);
  expect(dump.mapped(10)).toEqual([[7, Object.values(files)[0]]]);
});
