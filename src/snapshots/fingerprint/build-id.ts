/**
 * The build ID of an ELF file: 1 to 64 bytes that the linker made of everything it put in. The program headers tell where the
 * notes are, and one note, of type 3 and owner `GNU`, is the ID.
 *
 * Files come from applications, so every count and length is bounded before it is used: at most 64 KiB of program headers and 16
 * times 64 KiB of notes are read, and a header that makes no sense means that there is no build ID.
 */
const ELF_MAGIC = 0x7f_45_4c_46;
const PT_NOTE = 4;
const NT_GNU_BUILD_ID = 3;
const NOTE_HEADER = 12;
const LONGEST_ID = 64;
const MOST_SEGMENTS = 16;
const MOST_BYTES = 1 << 16;

/** Reads up to `length` bytes at `offset`; fewer at the end of the file. */
export type Read = (offset: number, length: number) => Buffer;

/** A file's words, in its own byte order and width. */
interface Words {
  readonly wide: boolean;
  half(bytes: Buffer, at: number): number;
  word(bytes: Buffer, at: number): number;
  /** An address or offset; NaN when no file can be that large. */
  long(bytes: Buffer, at: number): number;
}

const safe = (value: bigint): number =>
  value <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(value) : Number.NaN;

const littleEndian = (wide: boolean): Words => ({
  wide,
  half: (bytes, at) => bytes.readUInt16LE(at),
  word: (bytes, at) => bytes.readUInt32LE(at),
  long: (bytes, at) => (wide ? safe(bytes.readBigUInt64LE(at)) : bytes.readUInt32LE(at)),
});

const bigEndian = (wide: boolean): Words => ({
  wide,
  half: (bytes, at) => bytes.readUInt16BE(at),
  word: (bytes, at) => bytes.readUInt32BE(at),
  long: (bytes, at) => (wide ? safe(bytes.readBigUInt64BE(at)) : bytes.readUInt32BE(at)),
});

const wordsOf = (header: Buffer): Words | undefined => {
  const [width, order] = [header[4], header[5]];
  if ((width !== 1 && width !== 2) || (order !== 1 && order !== 2)) return undefined;
  return order === 1 ? littleEndian(width === 2) : bigEndian(width === 2);
};

/** Whether a file that begins so is ELF. */
export const isElf = (start: Buffer): boolean => start.length >= 4 && start.readUInt32BE(0) === ELF_MAGIC;

interface Segment {
  readonly offset: number;
  readonly length: number;
  readonly align: number;
}

/** The segments that hold notes. */
const noteSegments = (read: Read, header: Buffer, words: Words): Segment[] => {
  const { wide } = words;
  const table = words.long(header, wide ? 32 : 28);
  const step = words.half(header, wide ? 54 : 42);
  const count = words.half(header, wide ? 56 : 44);
  const least = wide ? 56 : 32;
  if (Number.isNaN(table) || step < least) return [];
  const bytes = read(table, Math.min(step * count, MOST_BYTES));
  const segments: Segment[] = [];
  for (let at = 0; at + least <= bytes.length && segments.length < MOST_SEGMENTS; at += step) {
    if (words.word(bytes, at) !== PT_NOTE) continue;
    segments.push({
      offset: words.long(bytes, at + (wide ? 8 : 4)),
      length: words.long(bytes, at + (wide ? 32 : 16)),
      align: words.long(bytes, at + (wide ? 48 : 28)) === 8 ? 8 : 4,
    });
  }
  return segments.filter(({ offset, length }) => !Number.isNaN(offset) && !Number.isNaN(length));
};

const idAmong = (notes: Buffer, align: number, words: Words): string | undefined => {
  const up = (value: number): number => Math.ceil(value / align) * align;
  for (let at = 0; at + NOTE_HEADER <= notes.length;) {
    const nameLength = words.word(notes, at);
    const length = words.word(notes, at + 4);
    const start = at + up(NOTE_HEADER + nameLength);
    const owner = notes.toString('latin1', at + NOTE_HEADER, at + NOTE_HEADER + Math.min(nameLength, 5));
    if (words.word(notes, at + 8) === NT_GNU_BUILD_ID && owner === 'GNU\0') {
      const fits = length > 0 && length <= LONGEST_ID && start + length <= notes.length;
      return fits ? notes.toString('hex', start, start + length) : undefined;
    }
    at = up(start + length);
  }
  return undefined;
};

/** The build ID in hexadecimal; undefined when the file is not ELF or has none. Throws what `read` throws. */
export const buildId = (read: Read): string | undefined => {
  const header = read(0, 64);
  if (!isElf(header) || header.length < 52) return undefined;
  const words = wordsOf(header);
  if (!words || (words.wide && header.length < 64)) return undefined;
  for (const { offset, length, align } of noteSegments(read, header, words)) {
    const id = idAmong(read(offset, Math.min(length, MOST_BYTES)), align, words);
    if (id !== undefined) return id;
  }
  return undefined;
};
