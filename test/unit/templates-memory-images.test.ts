/** Memory read from images, and images made fit for clones, by the messages of this machine's engine. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { decodeImage, encodeImage, processSpace, writePagemap } from '../../src/criu/index.ts';
import type { ImageEntry } from '../../src/criu/index.ts';
import { prepareImages } from '../../src/templates/memory/index.ts';
import type { Personality } from '../../src/templates/memory/index.ts';
import { SavedMemory } from '../../src/templates/memory/saved-memory.ts';
import { schemas } from './criu-schema.ts';

const COMMON = 0x54564319;
const PAGE = 4096;
const PID = 7;
const [HEAP, FILE, WIPED, STACK] = [0x5555_0000_0000, 0x5556_0000_0000, 0x7000_0000_0000, 0x7ffe_0000_0000];
const [ANONYMOUS, OF_FILE] = [(1 << 0) | (1 << 9), (1 << 0) | (1 << 6)];

const engines = schemas.slice(1);

it('messages built by hand have no memory to read', () => expect(schemas.length - engines.length).toBe(1));

describe.each(engines)('by %s', (_, schema) => {
  const vma = (start: number, pages: number, status = ANONYMOUS, madv = 0n) => ({
    start: BigInt(start),
    end: BigInt(start + pages * PAGE),
    pgoff: 0n,
    shmid: 0n,
    prot: 3,
    flags: 0x22,
    status,
    fd: -1n,
    madv,
  });

  /** A process with a page of `h` in its heap of three, one of `f` in a file of two, one of `w`, and an empty stack. */
  const dump = (): string => {
    const directory = mkdtempSync(join(tmpdir(), 'appshot-personality-'));
    onTestFinished(() => rmSync(directory, { recursive: true }));
    const write = (name: string, magic: number, entries: ImageEntry[]): void =>
      writeFileSync(join(directory, name), encodeImage(schema, { name, magics: [COMMON, magic], entries }));
    const numbers = [
      'StartCode',
      'EndCode',
      'StartData',
      'EndData',
      'StartStack',
      'StartBrk',
      'Brk',
      'ArgStart',
      'ArgEnd',
    ];
    const message = {
      ...Object.fromEntries(numbers.map((name) => [`mm${name}`, 0n])),
      mmEnvStart: BigInt(STACK + 100),
      mmEnvEnd: BigInt(STACK + 200),
      exeFileId: 1,
      vmas: [vma(HEAP, 3), vma(FILE, 2, OF_FILE), vma(WIPED, 1, ANONYMOUS, 1n << 18n), vma(STACK, 1)],
    };
    write(`mm-${PID}.img`, 0x57492820, [{ message }]);
    write('files.img', 0x56303138, []);
    const runs = [HEAP + PAGE, FILE, WIPED].map((vaddr) => ({ vaddr, pages: 1, flags: 4 }));
    writeFileSync(join(directory, `pagemap-${PID}.img`), writePagemap({ pagesId: 1, runs, narrow: false }));
    const pages = ['h', 'f', 'w'].map((letter) => Buffer.alloc(PAGE, letter));
    writeFileSync(join(directory, 'pages-1.img'), Buffer.concat(pages));
    return directory;
  };

  it('is what was saved, zeros where nothing was, and unknown where a file is', () => {
    const memory = new SavedMemory({ schema, images: dump(), pid: PID, layers: {} });
    try {
      expect(memory.environment).toEqual({ start: STACK + 100, end: STACK + 200 });
      expect(memory.read(HEAP + PAGE - 2, 4)?.toString('latin1')).toBe('\0\0hh');
      expect(memory.read(HEAP + 2 * PAGE - 1, 2)?.toString('latin1')).toBe('h\0');
      expect(memory.read(FILE, 2)?.toString('latin1')).toBe('ff');
      expect(memory.read(FILE + PAGE - 1, 2)).toBeUndefined();
      expect(memory.read(HEAP + 3 * PAGE - 1, 2)).toBeUndefined();
      expect(memory.read(WIPED, 1)).toBeUndefined();
      expect([
        memory.isWritable(FILE, PAGE),
        memory.isWritable(WIPED, 1),
        memory.isWritable(HEAP, 4 * PAGE),
      ]).toEqual([true, false, false]);
      const seen = [...memory.windows()].flatMap(({ bytes, addressOf }) =>
        ['h', 'f', 'w'].map((letter) => (bytes.includes(letter) ? addressOf(bytes.indexOf(letter)) : -1)),
      );
      expect(seen).toEqual([HEAP + PAGE, FILE, -1]);
    } finally {
      memory.close();
    }
  });

  it('gets its spare mapping in its place, and loses what it wants wiped', () => {
    const images = dump();
    const at = 0x6000_0000_0000;
    const personality: Personality = {
      format: 1,
      names: [],
      processes: [
        {
          pid: PID,
          variables: {},
          overwritten: false,
          spare: { at, size: 2 * PAGE, used: 64, added: true },
          nodeNames: [],
          generators: [],
          cells: [],
        },
      ],
    };
    expect(prepareImages(schema, images, personality)).toEqual([{ pid: PID, start: WIPED, bytes: PAGE }]);
    const name = `mm-${PID}.img`;
    const { mappings } = processSpace(decodeImage(schema, name, readFileSync(join(images, name))));
    expect(mappings.map(({ start, end }) => [start, (end - start) / PAGE])).toEqual([
      [HEAP, 3],
      [FILE, 2],
      [at, 2],
      [WIPED, 1],
      [STACK, 1],
    ]);
    expect(mappings[2]).toMatchObject({
      readable: true,
      writable: true,
      executable: false,
      isPrivate: true,
      ofFile: false,
    });
    const pages = readFileSync(join(images, 'pages-1.img'));
    expect(pages.subarray(PAGE, 2 * PAGE).equals(Buffer.alloc(PAGE, 'f'))).toBe(true);
    expect(pages.subarray(2 * PAGE).equals(Buffer.alloc(PAGE))).toBe(true);
    expect(() => prepareImages(schema, images, personality)).toThrow('has memory at 600000000000 already');
  });
});
