/** Which mappings of a dump may become layers, and which were one before the guard divided them. */
import { describe, expect, it } from 'vitest';
import type { Fields, Image } from '../../src/criu/index.ts';
import { joinParts, mappingsOf } from '../../src/snapshots/memory/memory.ts';

const PRIVATE_ANONYMOUS = 0x22;
const MAP_NORESERVE = 0x4000;
/** Of CRIU's `criu/include/image.h`. */
const [REGULAR, HEAP, ANON_PRIVATE, GUARD] = [1 << 0, 1 << 5, 1 << 9, 1 << 16];
const advice = (bit: number): bigint => 1n << BigInt(bit);
const [DONTFORK, HUGEPAGE, WIPEONFORK] = [advice(10), advice(14), advice(18)];

/** A mapping by its first page and the page behind it. */
const vma = (from: number, to: number, given: Fields = {}): Fields => ({
  start: BigInt(from * 4096),
  end: BigInt(to * 4096),
  prot: 3,
  flags: PRIVATE_ANONYMOUS,
  status: REGULAR | ANON_PRIVATE,
  ...given,
});

const memory = (...vmas: Fields[]): Image => ({
  name: 'mm-1.img',
  magics: [],
  entries: [{ message: { vmas } }],
});

const pages = (list: readonly { start: unknown; end: unknown }[]): number[][] =>
  list.map(({ start, end }) => [Number(start) / 4096, Number(end) / 4096]);

describe('a layer', () => {
  it('may have memory that children do not get, as V8 asks for', () => {
    expect(pages(mappingsOf(memory(vma(0, 9, { madv: DONTFORK })), new Map()))).toEqual([[0, 9]]);
  });

  it('has no memory that children get empty', () => {
    expect(mappingsOf(memory(vma(0, 9, { madv: WIPEONFORK })), new Map())).toEqual([]);
  });

  it('has no memory with guard pages', () => {
    const guard = vma(4, 5, { status: GUARD });
    expect(pages(mappingsOf(memory(vma(0, 4), vma(4, 9), vma(9, 12), guard), new Map()))).toEqual([
      [0, 4],
      [9, 12],
    ]);
  });
});

describe('parts', () => {
  const joined = (...vmas: Fields[]): number[][] => {
    const image = memory(...vmas);
    joinParts(image);
    return pages(image.entries[0]?.message['vmas'] as { start: bigint; end: bigint }[]);
  };

  it('that differ in nothing that shows are one again', () => {
    const one = [
      vma(0, 2, { madv: HUGEPAGE }),
      vma(2, 3, { flags: PRIVATE_ANONYMOUS | MAP_NORESERVE }),
      vma(3, 9, { status: REGULAR | ANON_PRIVATE | HEAP }),
    ];
    expect(joined(...one)).toEqual([[0, 9]]);
  });

  it.each([
    ['have a gap', vma(3, 4)],
    ['differ in protection', vma(2, 4, { prot: 1 })],
    ['differ in what children get', vma(2, 4, { madv: DONTFORK })],
    ['are not both anonymous', vma(2, 4, { status: REGULAR | (1 << 6) })],
    ['grow by themselves', vma(2, 4, { flags: PRIVATE_ANONYMOUS | 0x100 })],
  ])('that %s stay two', (_, next) => {
    expect(joined(vma(0, 2), next)).toHaveLength(2);
  });
});
