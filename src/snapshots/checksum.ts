/** Checksums of files, in pieces small enough that nothing else waits long. */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';

const PIECE = 1 << 20;

/** The SHA-256 of a file, in hexadecimal. Rejects with the file system's error. */
export const checksum = async (path: string): Promise<string> => {
  const hash = createHash('sha256');
  for await (const piece of createReadStream(path, { highWaterMark: PIECE })) hash.update(piece as Buffer);
  return hash.digest('hex');
};
