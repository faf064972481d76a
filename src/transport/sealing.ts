/**
 * Authenticated encryption of a stream, so that every piece that is handed on is proved to be the next one (the STREAM
 * construction of Hoang, Reyhanitabar, Rogaway and Vizár, 2015): pieces of 256 KiB, each with AES-256-GCM; the nonce is the piece's
 * number, 11 bytes big-endian, and a byte that is 1 for the last piece only. A key therefore seals one stream and no other.
 * What the stream belongs to (`context`) is authenticated with each piece.
 */
import { createCipheriv, createDecipheriv } from 'node:crypto';
import { inPieces } from './bytes.ts';
import type { Bytes } from './bytes.ts';
import { damaged } from './refusal.ts';

const PIECE = 256 << 10;
const TAG = 16;

const nonce = (index: number, last: boolean): Buffer => {
  const bytes = Buffer.alloc(12);
  bytes.writeBigUInt64BE(BigInt(index), 3);
  bytes[11] = last ? 1 : 0;
  return bytes;
};

export async function* seal(key: Buffer, context: Buffer, source: Bytes): AsyncGenerator<Buffer> {
  let index = 0;
  for await (const { piece, last } of inPieces(source, PIECE)) {
    const cipher = createCipheriv('aes-256-gcm', key, nonce(index++, last), { authTagLength: TAG });
    cipher.setAAD(context);
    yield Buffer.concat([cipher.update(piece), cipher.final(), cipher.getAuthTag()]);
  }
}

const unsealPiece = (key: Buffer, context: Buffer, sealed: Buffer, at: Buffer): Buffer => {
  const decipher = createDecipheriv('aes-256-gcm', key, at, { authTagLength: TAG });
  decipher.setAAD(context);
  decipher.setAuthTag(sealed.subarray(-TAG));
  return Buffer.concat([decipher.update(sealed.subarray(0, -TAG)), decipher.final()]);
};

/** Yields only what is proved; a changed, moved, missing or added piece is a refusal. */
export async function* unseal(key: Buffer, context: Buffer, source: Bytes): AsyncGenerator<Buffer> {
  let index = 0;
  for await (const { piece, last } of inPieces(source, PIECE + TAG)) {
    if (piece.length < TAG) throw damaged('it ends too early');
    try {
      yield unsealPiece(key, context, piece, nonce(index, last));
    } catch (error) {
      throw damaged(`piece ${index} of its ciphertext was changed, or is not the next one`, error);
    }
    index += 1;
  }
}
