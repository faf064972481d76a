/**
 * The frame of CRIU's image files, bytes to frames and back: one or two magic numbers, then messages, each behind its
 * length; all numbers 32-bit little-endian. Source: CRIU's documentation of its image format.
 */
const COMMON_MAGIC = 0x54564319;
const SERVICE_MAGIC = 0x55105940;
/** No message that is read here comes near it. */
const LARGEST_MESSAGE = 1 << 20;

export interface ImageFile {
  /** One magic number for old files, two since image version 1.1. */
  readonly magics: readonly number[];
  readonly messages: readonly Uint8Array[];
}

/** Why bytes are not an image. */
export class ImageError extends Error {}

const readMagics = (bytes: Buffer): number[] => {
  if (bytes.length < 4) throw new ImageError('it is shorter than its magic number');
  const first = bytes.readUInt32LE(0);
  if (first !== COMMON_MAGIC && first !== SERVICE_MAGIC) return [first];
  if (bytes.length < 8) throw new ImageError('it ends within its magic numbers');
  return [first, bytes.readUInt32LE(4)];
};

/** Only for images without raw data behind their messages. Throws `ImageError`. */
export const readImage = (bytes: Buffer): ImageFile => {
  const magics = readMagics(bytes);
  const messages: Uint8Array[] = [];
  for (let at = magics.length * 4; at < bytes.length;) {
    if (at + 4 > bytes.length) throw new ImageError(`it ends within a length, at byte ${at}`);
    const length = bytes.readUInt32LE(at);
    if (length > LARGEST_MESSAGE)
      throw new ImageError(`a message of ${length} bytes at byte ${at} is too large`);
    if (at + 4 + length > bytes.length) throw new ImageError(`it ends within a message, at byte ${at}`);
    messages.push(bytes.subarray(at + 4, at + 4 + length));
    at += 4 + length;
  }
  return { magics, messages };
};

export const writeImage = ({ magics, messages }: ImageFile): Buffer => {
  const number = (value: number): Buffer => {
    const bytes = Buffer.alloc(4);
    bytes.writeUInt32LE(value);
    return bytes;
  };
  return Buffer.concat([
    ...magics.map(number),
    ...messages.flatMap((message) => [number(message.length), Buffer.from(message)]),
  ]);
};
