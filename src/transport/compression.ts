/**
 * Zstandard at one fixed level, so that the same bytes give the same blob, and a registry that has it is not sent it again.
 * The reader's window is bounded: what arrives must not choose how much memory it costs.
 */
import { pipeline } from 'node:stream';
import type { Transform } from 'node:stream';
import { constants, createZstdCompress, createZstdDecompress } from 'node:zlib';
import { inPieces } from './bytes.ts';
import type { Bytes } from './bytes.ts';
import { Refusal, damaged } from './refusal.ts';

const LEVEL = 3;
/** 2 MiB, which the level has anyway, and 8 MiB. */
const WINDOW_LOG = 21;
const LARGEST_WINDOW_LOG = 23;
const CHUNK = { chunkSize: 256 << 10 };

const through = (source: Bytes, transform: Transform): AsyncIterable<Buffer> =>
  // The failure of either reaches whoever reads the transform; the callback only keeps it from being thrown twice.
  pipeline(source, transform, () => undefined);

/** What zstd makes of a stream may depend on how it is cut, so it is always cut alike. */
async function* cutAlike(source: Bytes): AsyncGenerator<Buffer> {
  for await (const { piece } of inPieces(source, 256 << 10)) yield piece;
}

export const compress = (source: Bytes): AsyncIterable<Buffer> =>
  through(
    cutAlike(source),
    createZstdCompress({
      ...CHUNK,
      params: {
        [constants.ZSTD_c_compressionLevel]: LEVEL,
        [constants.ZSTD_c_windowLog]: WINDOW_LOG,
        [constants.ZSTD_c_checksumFlag]: 1,
      },
    }),
  );

const isOurs = (error: unknown): boolean => !/^(ZSTD_|Z_)/.test((error as NodeJS.ErrnoException).code ?? '');

/** Throws a refusal for what does not decompress, and what the source throws. */
export async function* decompress(source: Bytes): AsyncGenerator<Buffer> {
  const options = { ...CHUNK, params: { [constants.ZSTD_d_windowLogMax]: LARGEST_WINDOW_LOG } };
  try {
    yield* through(source, createZstdDecompress(options));
  } catch (error) {
    if (error instanceof Refusal || isOurs(error)) throw error;
    throw damaged('it does not decompress', error);
  }
}
