/**
 * Image files, bytes to objects and back. What was not changed is encoded to the very bytes that it was decoded from; what
 * a schema does not know is kept.
 *
 * Objects are those of `Schema.decode`: camel-case keys, 64-bit numbers as bigint, bytes as views of the file's bytes.
 */
import { AppShotError } from '../../common/index.ts';
import type { Fields, Schema } from '../schema.ts';
import { ImageError, imageError } from './error.ts';
import { FrameReader, numberBytes } from './frames.ts';
import { imageKind } from './kinds.ts';
import type { ImageKind } from './kinds.ts';
import type { Step } from './layouts.ts';

export interface ImageEntry {
  /** May be changed in place. A message that goes into it must be made by `Schema.make`. */
  message: Fields;
  /** The raw bytes behind the message; their number must be what the message says. */
  payload?: Buffer;
}

export interface Image {
  /** The file's name, which says what the image holds. */
  readonly name: string;
  readonly magics: readonly number[];
  readonly entries: ImageEntry[];
}

/**
 * Messages that a protobuf writer of ours would write otherwise than they were read, such as with fields in another order:
 * the bytes read, and those that the unchanged message becomes.
 */
const originals = new WeakMap<Fields, { read: Buffer; ours: Buffer }>();

const knownKind = (name: string): ImageKind => {
  const kind = imageKind(name);
  if (!kind) throw new ImageError(name, 'is no image of messages');
  return kind;
};

const bytesOf = (schema: Schema, type: string, message: Fields): Buffer => {
  const bytes = '$typeName' in message ? schema.reencode(type, message) : schema.encode(type, message);
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
};

/** The message of some bytes. Also what lacks a required field is refused: it could not be written again. */
const decodeMessage = (schema: Schema, type: string, bytes: Buffer): Fields => {
  const message = schema.decode(type, bytes);
  const ours = bytesOf(schema, type, message);
  if (!ours.equals(bytes)) originals.set(message, { read: bytes, ours });
  return message;
};

const encodeMessage = (schema: Schema, type: string, message: Fields): Buffer => {
  const bytes = bytesOf(schema, type, message);
  const original = originals.get(message);
  return original?.ours.equals(bytes) ? original.read : bytes;
};

/** Lets through what says that the engine is unfit; everything else says that the image is. */
const orImageError = <T>(file: string, what: string, attempt: () => T): T => {
  try {
    return attempt();
  } catch (error) {
    if (error instanceof AppShotError) throw error;
    throw imageError(file, what, error);
  }
};

const readPayload = (reader: FrameReader, step: Step, message: Fields): Buffer | undefined => {
  const size = step.payload?.(message) ?? 0;
  const bytes = size === 'rest' ? reader.rest() : reader.take(size, `the data of a ${step.type}`);
  return bytes.length > 0 ? bytes : undefined;
};

/**
 * Decodes the image file `name`, a name without directories. Throws `ImageError` when the bytes are not such an image, and
 * takes no more time and memory than in proportion to the bytes, whatever they are.
 */
export const decodeImage = (schema: Schema, name: string, bytes: Uint8Array): Image => {
  const kind = knownKind(name);
  const reader = new FrameReader(name, bytes);
  const magics = reader.magics(kind.magic);
  const entries: ImageEntry[] = [];
  const layout = kind.layout();
  let { value: step } = layout.next();
  while (step && !reader.ended) {
    const { type } = step;
    const { at } = reader;
    const read = reader.message();
    const message = orImageError(name, `holds no ${type} at byte ${at}`, () =>
      decodeMessage(schema, type, read),
    );
    const payload = readPayload(reader, step, message);
    entries.push(payload === undefined ? { message } : { message, payload });
    ({ value: step } = layout.next(message));
  }
  if (step?.needed) throw new ImageError(name, `ends where a ${step.type} is missing, at byte ${reader.at}`);
  if (!reader.ended) throw new ImageError(name, `goes on after its end, at byte ${reader.at}`);
  return { name, magics, entries };
};

const checkPayload = (name: string, step: Step, entry: ImageEntry): void => {
  const expected = step.payload?.(entry.message) ?? 0;
  const found = entry.payload?.length ?? 0;
  if (expected !== 'rest' && expected !== found)
    throw new ImageError(name, `would have ${found} bytes of data behind a ${step.type} of ${expected}`);
};

/**
 * The bytes of an image file. Throws `ImageError` when an entry is not what belongs in its place, lacks a required field, or
 * has more or less data than it says.
 */
export const encodeImage = (schema: Schema, { name, magics, entries }: Image): Buffer => {
  const parts = magics.map(numberBytes);
  const layout = knownKind(name).layout();
  let { value: step } = layout.next();
  for (const [index, entry] of entries.entries()) {
    if (!step) throw new ImageError(name, `would have an entry too many: number ${index}`);
    const { type } = step;
    checkPayload(name, step, entry);
    const message = orImageError(name, `cannot hold entry ${index} as ${type}`, () =>
      encodeMessage(schema, type, entry.message),
    );
    parts.push(numberBytes(message.length), message);
    if (entry.payload) parts.push(entry.payload);
    ({ value: step } = layout.next(entry.message));
  }
  if (step?.needed) throw new ImageError(name, `would lack a ${step.type}`);
  return Buffer.concat(parts);
};
