/** What is found in made-up memory, what is not, and what a clone's memory then gets. */
import { describe, expect, it } from 'vitest';
import { GENERATOR_MARK, findGenerators } from '../../src/templates/memory/generators.ts';
import { CELL_MARK, findCells, findNodeNames, nodeNeedle } from '../../src/templates/memory/names.ts';
import { pokesFor } from '../../src/templates/memory/index.ts';
import type { KnownString, Personality, Spare } from '../../src/templates/memory/index.ts';
import { scan } from '../../src/templates/memory/scan.ts';
import { chooseSpare, spareHeader } from '../../src/templates/memory/spare.ts';
import { findVariables, readBlock } from '../../src/templates/memory/variables.ts';
import { memoryOf } from './templates-memory-place.ts';
import type { Part } from './templates-memory-place.ts';

const PAGE = 4096;
const HEAP = 0x5555_0000_0000;
const STACK = 0x7ffe_0000_0000;
const CODE = 0x7f00_0000_0000;
const PID = 1001;

const page = (start: number, fill: (bytes: Buffer) => void = () => undefined): Part & { bytes: Buffer } => {
  const bytes = Buffer.alloc(PAGE);
  fill(bytes);
  return { start, bytes };
};

const words = (...values: number[]): Buffer => {
  const bytes = Buffer.alloc(values.length * 8);
  values.forEach((value, index) => bytes.writeBigUInt64LE(BigInt(value), index * 8));
  return bytes;
};

describe('a pass over memory', () => {
  const nothing = { needles: [], marks: [], targets: new Set<number>() };

  it.each([64, 512, 4096])('finds everything once, wherever windows of %d bytes meet', (size) => {
    const heap = page(HEAP);
    const strings = ['APPSHOT_NAME=web', 'APPSHOT_AID=1', 'WHO=x'];
    const places = [1, 500, 531, 1020, 2047, 4070];
    places.forEach((at, index) => heap.bytes.write(`${strings[index % 3]}\0`, at));
    words(STACK + 8).copy(heap.bytes, 1536);
    const memory = memoryOf([heap], undefined, size);
    const found = scan(memory.windows(), {
      ...nothing,
      needles: strings.map((text) => Buffer.from(`${text}\0`)),
      targets: new Set([STACK + 8]),
    });
    expect(found.needles).toEqual([
      [HEAP + 1, HEAP + 1020],
      [HEAP + 500, HEAP + 2047],
      [HEAP + 531, HEAP + 4070],
    ]);
    expect(found.words).toEqual([{ at: HEAP + 1536, value: STACK + 8 }]);
  });

  it('sees marks where they are aligned only', () => {
    const heap = page(HEAP, (bytes) => {
      for (const at of [64, 200, 320]) bytes.write('AppShotGenCell1\n', at);
    });
    const { marks } = scan(memoryOf([heap]).windows(), { ...nothing, marks: [GENERATOR_MARK, CELL_MARK] });
    expect(marks).toEqual([[], [HEAP + 64, HEAP + 320]]);
  });
});

/** `struct prov_drbg_st` of OpenSSL 3 at offset 256 of the heap, with or without the pointer that version 3.0 does not have. */
const generator = (
  pointers: 14 | 15,
  change: (object: Buffer, forkId: number) => void = () => undefined,
): Part =>
  page(HEAP, (bytes) => {
    const functions = [0x100, 0x200, 0x300, 0x400].map((offset) => CODE + offset);
    const before = [HEAP, HEAP + 8, ...functions, ...Array.from({ length: pointers - 6 }, () => 0)];
    words(...before).copy(bytes, 256);
    const forkId = 256 + pointers * 8;
    bytes.writeUInt32LE(PID, forkId);
    bytes.writeUInt32LE(256, forkId + 8);
    words(65536, 32, 0x7fffffff, 16, 0x7fffffff, 0x7fffffff, 0x7fffffff).copy(bytes, forkId + 16);
    bytes.writeUInt32LE(5, forkId + 72);
    bytes.writeUInt32LE(65536, forkId + 76);
    words(1_790_000_000, 420).copy(bytes, forkId + 80);
    bytes.writeUInt32LE(2, forkId + 96);
    words(48, 1, HEAP + 0x800).copy(bytes, forkId + 112);
    change(bytes, forkId);
  });

const generatorsIn = (part: Part): number[] => {
  const memory = memoryOf([part, { ...page(CODE), executable: true }]);
  const { marks } = scan(memory.windows(), { needles: [], targets: new Set(), marks: [GENERATOR_MARK] });
  return findGenerators(memory, PID, marks[0] ?? []);
};

describe('generators of OpenSSL', () => {
  it('are known by their fields, in both layouts', () => {
    expect(generatorsIn(generator(14))).toEqual([HEAP + 256 + 14 * 8]);
    expect(generatorsIn(generator(15))).toEqual([HEAP + 256 + 15 * 8]);
  });

  it.each([
    ['of another process', (bytes: Buffer, at: number) => bytes.writeUInt32LE(PID + 1, at)],
    ['that was released', (bytes: Buffer) => words(12345, 0xdead_beef_0000).copy(bytes, 256)],
    ['whose functions are no code', (bytes: Buffer) => words(HEAP).copy(bytes, 256 + 16)],
    ['that is not ready', (bytes: Buffer, at: number) => bytes.writeUInt32LE(2, at + 120)],
    ['of a strength that none has', (bytes: Buffer, at: number) => bytes.writeUInt32LE(257, at + 8)],
    ['with another limit', (bytes: Buffer, at: number) => words(65537).copy(bytes, at + 16)],
    ['seeded before there was any', (bytes: Buffer, at: number) => words(1000).copy(bytes, at + 80)],
  ])('are not one %s', (_, change) => {
    expect(generatorsIn(generator(14, change))).toEqual([]);
  });
});

describe('cached names and cells', () => {
  const names = (release: string, hostname = 'old'): Part =>
    page(HEAP, (bytes) =>
      ['Linux', hostname, release, '#1 SMP', 'x86_64', '(none)'].forEach((text, index) =>
        bytes.write(text, 33 + index * 65),
      ),
    );
  const nodeNamesIn = (part: Part): number[] => {
    const memory = memoryOf([part]);
    const wanted = { needles: [nodeNeedle('old')], marks: [], targets: new Set<number>() };
    return findNodeNames(memory, 'old', scan(memory.windows(), wanted).needles[0] ?? []);
  };

  it('are those of uname(2) alone', () => {
    expect(nodeNamesIn(names('6.18.0'))).toEqual([HEAP + 33 + 65]);
    expect(nodeNamesIn(names('none'))).toEqual([]);
    expect(nodeNamesIn(names('6.18.0', 'older'))).toEqual([]);
  });

  it('are cells with the magic, a zero and a seed', () => {
    const cell = (change: (bytes: Buffer) => void): Part =>
      page(HEAP, (bytes) => {
        bytes.write('AppShotGenCell1\n', 64);
        change(bytes);
      });
    const cellsIn = (part: Part): number[] => findCells(memoryOf([part]), [HEAP + 64]);
    expect(cellsIn(cell(() => undefined))).toEqual([HEAP + 64]);
    expect(cellsIn(cell((bytes) => bytes.fill(0xa5, 96, 128)))).toEqual([HEAP + 64]);
    expect(cellsIn(cell((bytes) => bytes.writeUInt32LE(1, 88)))).toEqual([]);
    expect(cellsIn(cell((bytes) => words(HEAP, HEAP, HEAP, HEAP).copy(bytes, 96)))).toEqual([]);
    expect(cellsIn(cell((bytes) => words(HEAP).copy(bytes, 80)))).toEqual([]);
    expect(cellsIn(cell((bytes) => bytes.write('2', 78)))).toEqual([]);
  });
});

describe('variables', () => {
  const VARIABLES = { WHO: 'me', PLACE: 'here' };
  const BLOCK = STACK + 2048;
  const TEXT = 'PATH=/bin\0WHO=me\0PLACE=here\0';
  const [PATH, WHO, PLACE] = [BLOCK, BLOCK + 10, BLOCK + 17];

  const find = (heap: (bytes: Buffer) => void, stack: (bytes: Buffer) => void = () => undefined) => {
    const parts = [
      page(HEAP, heap),
      page(STACK, (bytes) => {
        words(0, PATH, WHO, PLACE, 0).copy(bytes, 1024);
        bytes.write(TEXT, 2048);
        stack(bytes);
      }),
    ];
    const memory = memoryOf(parts, { start: BLOCK, end: BLOCK + TEXT.length });
    const block = readBlock(memory, VARIABLES);
    const needles = Object.entries(VARIABLES).map(([name, value]) => Buffer.from(`${name}=${value}\0`));
    const seen = scan(memory.windows(), { needles, marks: [], targets: new Set(block.wanted.keys()) });
    const found = findVariables(memory, VARIABLES, block, { words: seen.words, strings: seen.needles });
    return { found, overwritten: block.overwritten };
  };

  it('are found with all arrays that have their addresses', () => {
    const { found, overwritten } = find((bytes) => {
      bytes.write('NEW=1', 512);
      words(PLACE, WHO, HEAP + 512, 0).copy(bytes, 64);
    });
    expect(found['WHO']).toEqual([{ at: WHO, room: 7, pointers: [HEAP + 72, STACK + 1024 + 16] }]);
    expect(found['PLACE']).toEqual([{ at: PLACE, room: 11, pointers: [HEAP + 64, STACK + 1024 + 24] }]);
    expect(overwritten).toBe(false);
  });

  it('are not pointed to by what only looks like an array', () => {
    const { found } = find((bytes) => {
      // Alone; without an end; beside what is no variable; not aligned.
      words(0, WHO, 0, 1, PATH, WHO, 5, HEAP + 512, WHO, 0).copy(bytes, 64);
      words(PATH, WHO, 0).copy(bytes, 1028);
      bytes.write('no variable', 512);
    });
    expect(found['WHO']?.[0]?.pointers).toEqual([STACK + 1024 + 16]);
  });

  it('have copies, which may change but not move', () => {
    const { found } = find((bytes) => {
      bytes.write('WHO=me\0', 512);
      words(PATH, HEAP + 512, 0).copy(bytes, 64);
      // Nothing points to this one.
      bytes.write('PLACE=here\0', 700);
    });
    expect(found['WHO']?.map(({ at, pointers }) => [at, pointers.length])).toEqual([
      [WHO, 1],
      [HEAP + 512, 0],
    ]);
  });

  it('may be gone, where a program has put its title', () => {
    const { found, overwritten } = find(
      () => undefined,
      (bytes) => bytes.fill('title ', 2048, 2048 + TEXT.length - 1),
    );
    expect({ found, overwritten }).toEqual({ found: {}, overwritten: true });
  });
});

describe('spare memory', () => {
  const stack = page(STACK);
  const environment = { start: STACK + 2048, end: STACK + 2060 };

  it('is far from everything', () => {
    const spare = chooseSpare(memoryOf([page(HEAP), page(CODE), stack], environment), [10, 20]);
    expect(spare).toMatchObject({ size: PAGE, used: 64, added: true });
    const distances = [HEAP, CODE].map((at) => Math.abs((spare?.at ?? 0) - at));
    expect(Math.min(...distances)).toBeGreaterThan(2 ** 43);
    expect((spare?.at ?? 1) % PAGE).toBe(0);
  });

  it('is not made for nothing, nor where there is no place', () => {
    expect(chooseSpare(memoryOf([page(HEAP), stack], environment), [])).toBeNull();
    const narrow = page(0x1000_0000);
    expect(chooseSpare(memoryOf([narrow], { start: 0x1000_0800, end: 0x1000_0900 }), [10])).toBeNull();
  });

  it('is the one that there is, as long as there is room in it', () => {
    const old = page(HEAP, (bytes) => spareHeader(PAGE, 512).copy(bytes));
    const memory = memoryOf([old, page(CODE), stack], environment);
    expect(chooseSpare(memory, [10])).toEqual({ at: HEAP, size: PAGE, used: 512, added: false });
    expect(chooseSpare(memory, [2000])).toMatchObject({ added: true });
  });
});

describe('what a clone gets', () => {
  const SPARE: Spare = { at: 0x6000_0000_0000, size: PAGE, used: 64, added: true };
  const facts = { hostname: 'clone-1', generation: 3, random: (size: number) => Buffer.alloc(size, 0xee) };
  const personality = (
    variables: Record<string, KnownString[]>,
    spare: Spare | null,
    overwritten = false,
  ): Personality => ({
    format: 1,
    names: ['WHO'],
    processes: [{ pid: PID, variables, overwritten, spare, nodeNames: [], generators: [], cells: [] }],
  });
  const inBlock = { at: STACK, room: 8, pointers: [STACK + 64, HEAP] };
  const copied = { at: HEAP + 64, room: 8, pointers: [] };

  const place = (known: Personality, value: string) => {
    const { pokes, missing } = pokesFor(known, { ...facts, variables: { WHO: value } });
    return { writes: pokes.map(({ at, bytes }) => [at, bytes.toString('latin1')]), missing };
  };

  it('is written in its place when it fits, and cleared behind', () => {
    const { writes, missing } = place(personality({ WHO: [inBlock, copied] }, SPARE), 'no');
    expect(writes).toEqual([
      [STACK, 'WHO=no\0\0'],
      [HEAP + 64, 'WHO=no\0\0'],
    ]);
    expect(missing).toEqual([]);
  });

  it('moves when it does not, once, and what cannot move is told', () => {
    const { writes, missing } = place(
      personality({ WHO: [inBlock, { ...inBlock, pointers: [1024] }, copied] }, SPARE),
      'somebody',
    );
    const address = words(SPARE.at + 64).toString('latin1');
    expect(writes).toEqual([
      [SPARE.at + 64, 'WHO=somebody\0'],
      [STACK + 64, address],
      [HEAP, address],
      [1024, address],
      [SPARE.at, spareHeader(PAGE, 64 + 16).toString('latin1')],
    ]);
    expect(missing).toEqual([{ pid: PID, name: 'WHO', reason: 'no room' }]);
  });

  it('is told when there is no spare memory, too little, or no string', () => {
    const noRoom = [{ pid: PID, name: 'WHO', reason: 'no room' }];
    expect(place(personality({ WHO: [inBlock] }, null), 'somebody')).toEqual({ writes: [], missing: noRoom });
    expect(place(personality({ WHO: [inBlock] }, SPARE), 'x'.repeat(PAGE))).toEqual({
      writes: [],
      missing: noRoom,
    });
    expect(place(personality({}, SPARE), 'me').missing).toEqual([]);
    expect(place(personality({}, SPARE, true), 'me').missing).toEqual([
      { pid: PID, name: 'WHO', reason: 'absent' },
    ]);
  });

  it('is told of what nobody has looked for', () => {
    const { missing } = pokesFor(personality({}, SPARE), { ...facts, variables: { OTHER: 'x' } });
    expect(missing).toEqual([{ pid: PID, name: 'OTHER', reason: 'absent' }]);
  });

  it('is a host name, a number that is no process, a generation and a seed', () => {
    const known: Personality = {
      format: 1,
      names: [],
      processes: [
        {
          pid: PID,
          variables: {},
          overwritten: false,
          spare: null,
          nodeNames: [1],
          generators: [2],
          cells: [64],
        },
      ],
    };
    const { pokes } = pokesFor(known, { ...facts, variables: {} });
    expect(pokes).toEqual([
      { pid: PID, at: 1, bytes: Buffer.from('clone-1'.padEnd(65, '\0')) },
      { pid: PID, at: 2, bytes: Buffer.alloc(4) },
      { pid: PID, at: 80, bytes: Buffer.concat([words(3, 0), Buffer.alloc(32, 0xee)]) },
    ]);
  });

  it('is refused when it cannot be one', () => {
    expect(() => place(personality({}, null), 'a\0b')).toThrow('WHO has a value with a zero byte');
    expect(() =>
      pokesFor(personality({}, null), { ...facts, variables: {}, hostname: 'x'.repeat(65) }),
    ).toThrow('too long');
  });
});
