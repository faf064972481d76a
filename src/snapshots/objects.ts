/**
 * Contents of files, each kept once under its own SHA-256: `<directory>/<first two digits>/<digest>`, mode 0400, never changed.
 *
 * One is written under a draft's name and renamed, so that it is there whole or not at all. Nothing is
 * flushed on the way: whoever is about to rely on objects asks for that with `flush`. Objects that nothing refers to are removed by
 * `sweep`, which its caller must keep from running between a `put` and the moment when what refers to the object is on disk.
 */
import { createHash, hash } from 'node:crypto';
import {
  closeSync,
  constants,
  createReadStream,
  fstatSync,
  lstatSync,
  mkdirSync,
  openSync,
  read,
  readFileSync,
  renameSync,
  rmSync,
  writeSync,
} from 'node:fs';
import { copyFile, open, readFile, readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { promisify } from 'node:util';
import { fsyncPath, newId } from '../common/index.ts';
import { checksum } from './checksum.ts';
import { corrupt, isFull, orNoSpace } from './failures.ts';
import { isDraft } from './layout.ts';

const DIGEST = /^[0-9a-f]{64}$/;
/** How much of a file is in memory at a time, in bytes. */
const PIECE = 1 << 20;
/** Read at once, since to hand it to another thread takes longer. In bytes. */
const SMALL = 64 << 10;
/** How many objects are flushed at a time: file systems flush what waits together in one go. */
const FLUSHERS = 8;

export interface StoredObject {
  /** SHA-256 of the content, in hexadecimal. */
  readonly digest: string;
  /** In bytes. */
  readonly size: number;
}

const writeAll = (fd: number, bytes: Uint8Array): void => {
  for (let at = 0; at < bytes.length;) at += writeSync(fd, bytes, at);
};

const readPiece = promisify(read);

/** A file's bytes from `start` up to `end`, in pieces; fewer when it has become shorter. A piece is only good until the next one. */
export async function* readRange(fd: number, start: number, end: number): AsyncGenerator<Uint8Array> {
  const piece = Buffer.allocUnsafe(Math.min(PIECE, end - start));
  for (let at = start; at < end;) {
    const { bytesRead } = await readPiece(fd, piece, 0, Math.min(piece.length, end - at), at);
    if (bytesRead === 0) return;
    yield piece.subarray(0, bytesRead);
    at += bytesRead;
  }
}

export class ObjectStore {
  readonly directory: string;
  /** Names of drafts that are being written. */
  readonly #drafts = new Set<string>();
  /** By digest, what the files looked like when their content was known to be right (see seal.ts). */
  readonly #seals = new Map<string, string>();
  readonly #flushed = new Set<string>();
  /** Objects that were seen, so that a capture need not look for each of thousands again. */
  readonly #present = new Set<string>();
  /** Whether the file system shares blocks between files; undefined until it was tried. */
  #reflinks: boolean | undefined;

  /** The directory is made when it is missing. */
  constructor(directory: string) {
    this.directory = directory;
    mkdirSync(directory, { recursive: true, mode: 0o700 });
  }

  /** Where an object is, or would be. Throws RangeError when `digest` is not one. */
  path(digest: string): string {
    if (!DIGEST.test(digest)) throw new RangeError(`${digest} is not a digest`);
    return join(this.directory, digest.slice(0, 2), digest);
  }

  /** Whether it is kept. One that was removed behind the store's back is missed by `verify` only. */
  has(digest: string): boolean {
    if (this.#present.has(digest)) return true;
    const found = lstatSync(this.path(digest), { throwIfNoEntry: false })?.isFile() ?? false;
    if (found) this.#present.add(digest);
    return found;
  }

  /** The size of an object in bytes; undefined when it is missing. */
  size(digest: string): number | undefined {
    return lstatSync(this.path(digest), { throwIfNoEntry: false })?.size;
  }

  /** Its content. The stream fails with the file system's error. */
  read(digest: string): Readable {
    return createReadStream(this.path(digest), { highWaterMark: PIECE });
  }

  /** All of a small object's content. Fails with RangeError when it has more than `largest` bytes. */
  async bytes(digest: string, largest: number): Promise<Buffer> {
    const size = this.size(digest) ?? 0;
    if (size > largest) throw new RangeError(`the object ${digest} has ${size} bytes, more than ${largest}`);
    return readFile(this.path(digest));
  }

  /** Keeps what is in memory: made for small contents, it does not leave the thread. Fails with `NO_SPACE`. */
  putBytes(bytes: Uint8Array): StoredObject {
    const stored = { digest: hash('sha256', bytes), size: bytes.length };
    if (this.#isVouchedFor(stored.digest)) return stored;
    const draft = this.#draft();
    try {
      const fd = openSync(join(this.directory, draft), 'wx', 0o400);
      try {
        writeAll(fd, bytes);
      } finally {
        closeSync(fd);
      }
      this.#place(draft, stored.digest);
    } catch (error) {
      throw orNoSpace(error, this.directory, 'keeping a file');
    } finally {
      this.#discard(draft);
    }
    return stored;
  }

  /** Keeps a file's content, sharing its blocks where the file system can. Fails with `NO_SPACE` or the file system's error. */
  async adopt(path: string): Promise<StoredObject> {
    const clone = await this.#clone(path);
    if (clone !== undefined) return clone;
    await using file = await open(path, 'r');
    return await this.put(readRange(file.fd, 0, Number.MAX_SAFE_INTEGER));
  }

  /** Keeps what a source gives, in one pass. Fails with `NO_SPACE` or the source's error; then nothing is kept. */
  async put(source: AsyncIterable<Uint8Array> | Iterable<Uint8Array>): Promise<StoredObject> {
    return this.#write(source);
  }

  /**
   * Keeps what comes from elsewhere. Fails with `SNAPSHOT_CORRUPT` when it is not of this digest or this size in bytes (where they are given;
   * what is too long is not read to its end), with `NO_SPACE`, or with the stream's error; then nothing is kept.
   */
  async putStream(
    digest: string | undefined,
    size: number | undefined,
    stream: AsyncIterable<Uint8Array>,
  ): Promise<StoredObject> {
    return this.#write(stream, { digest, size });
  }

  /**
   * Makes sure that an object is as it was when it was kept; what was found good stays good as long as the kernel says that the file has
   * not changed. Fails with `SNAPSHOT_CORRUPT`; `snapshot` and `file` tell the error what the object is part of.
   */
  async verify(digest: string, { snapshot = digest, file = 'its content' } = {}): Promise<void> {
    const found = this.#fingerprint(digest);
    if (found === undefined) {
      this.#present.delete(digest);
      throw corrupt(snapshot, file, `the object ${digest} is missing`);
    }
    if (this.#seals.get(digest) === found) return;
    if ((await this.#checksum(digest)) !== digest)
      throw corrupt(snapshot, file, `the checksum of the object ${digest} does not match`);
    this.#seals.set(digest, found);
  }

  /** The digests of all objects. */
  async list(): Promise<string[]> {
    const shelves = (await readdir(this.directory)).filter((name) => /^[0-9a-f]{2}$/.test(name));
    const names = await Promise.all(shelves.map((shelf) => readdir(join(this.directory, shelf))));
    return names
      .flat()
      .filter((name) => DIGEST.test(name))
      .toSorted();
  }

  /** Removes an object, if it is there. */
  async remove(digest: string): Promise<void> {
    this.#seals.delete(digest);
    this.#present.delete(digest);
    this.#flushed.delete(digest);
    await rm(this.path(digest), { force: true });
  }

  /** Makes objects survive a power cut. Fails with the file system's error, such as ENOENT. */
  async flush(digests: Iterable<string>): Promise<void> {
    const pending = [...new Set(digests)].filter((digest) => !this.#flushed.has(digest));
    const left = pending.values();
    const work = async (): Promise<void> => {
      for (const digest of left) {
        await using file = await open(this.path(digest), 'r');
        await file.sync();
      }
    };
    await Promise.all(Array.from({ length: FLUSHERS }, work));
    const shelves = new Set(pending.map((digest) => join(this.directory, digest.slice(0, 2))));
    await Promise.all([...shelves].map(fsyncPath));
    if (pending.length > 0) await fsyncPath(this.directory);
    for (const digest of pending) this.#flushed.add(digest);
  }

  /**
   * Removes the objects that are not among `live`, and drafts that nobody writes any more; or only tells which. Returns how many, and their
   * bytes on disk.
   */
  async sweep(live: ReadonlySet<string>, { dryRun = false } = {}): Promise<{ count: number; bytes: number }> {
    const dead = (await this.list()).filter((digest) => !live.has(digest));
    let bytes = 0;
    for (const digest of dead) {
      bytes += await occupied(this.path(digest));
      if (!dryRun) await this.remove(digest);
    }
    return { count: dead.length, bytes: bytes + (await this.sweepDrafts({ dryRun })) };
  }

  /** Removes drafts that nobody writes any more: a daemon that was killed left them. Returns their bytes on disk. */
  async sweepDrafts({ dryRun = false } = {}): Promise<number> {
    let bytes = 0;
    for (const name of await readdir(this.directory)) {
      if (!isDraft(name) || this.#drafts.has(name)) continue;
      bytes += await occupied(join(this.directory, name));
      if (!dryRun) await rm(join(this.directory, name), { force: true });
    }
    return bytes;
  }

  async #write(
    source: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
    expected: Partial<StoredObject> = {},
  ): Promise<StoredObject> {
    const draft = this.#draft();
    const digester = createHash('sha256');
    let size = 0;
    try {
      await using file = await open(join(this.directory, draft), 'wx', 0o400);
      for await (const piece of source) {
        size += piece.length;
        if (size > (expected.size ?? Infinity)) break;
        // The disk takes a piece while it is hashed.
        const written = file.writeFile(piece);
        digester.update(piece);
        await written;
      }
      const stored = { digest: digester.digest('hex'), size };
      refuseOther(stored, expected);
      this.#place(draft, stored.digest);
      return stored;
    } catch (error) {
      throw orNoSpace(error, this.directory, 'keeping a file');
    } finally {
      this.#discard(draft);
    }
  }

  /** The same without moving a byte; undefined where the file system cannot. */
  async #clone(path: string): Promise<StoredObject | undefined> {
    if (this.#reflinks === false) return undefined;
    const draft = this.#draft();
    const place = join(this.directory, draft);
    try {
      await copyFile(path, place, constants.COPYFILE_FICLONE_FORCE | constants.COPYFILE_EXCL);
      this.#reflinks = true;
      await using file = await open(place, 'r');
      await file.chmod(0o400);
      const stored = { digest: await checksum(place), size: fstatSync(file.fd).size };
      this.#place(draft, stored.digest);
      return stored;
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (isFull(error) || code === 'ENOENT') throw orNoSpace(error, this.directory, 'keeping a file');
      this.#reflinks ??= false;
      return undefined;
    } finally {
      this.#discard(draft);
    }
  }

  #draft(): string {
    const name = `.${newId()}.draft`;
    this.#drafts.add(name);
    return name;
  }

  /** Gives a draft its name. One that is there already stays if nothing can have happened to it: the draft is sure to be right. */
  #place(draft: string, digest: string): void {
    if (this.#isVouchedFor(digest)) return;
    mkdirSync(join(this.directory, digest.slice(0, 2)), { recursive: true, mode: 0o700 });
    renameSync(join(this.directory, draft), this.path(digest));
    this.#flushed.delete(digest);
    const seal = this.#fingerprint(digest);
    if (seal !== undefined) this.#seals.set(digest, seal);
  }

  #discard(draft: string): void {
    rmSync(join(this.directory, draft), { force: true });
    this.#drafts.delete(draft);
  }

  async #checksum(digest: string): Promise<string> {
    const path = this.path(digest);
    return (this.size(digest) ?? 0) > SMALL ? checksum(path) : hash('sha256', readFileSync(path));
  }

  #isVouchedFor(digest: string): boolean {
    const seal = this.#seals.get(digest);
    return seal !== undefined && seal === this.#fingerprint(digest);
  }

  #fingerprint(digest: string): string | undefined {
    const found = lstatSync(this.path(digest), { bigint: true, throwIfNoEntry: false });
    if (!found?.isFile()) return undefined;
    return [found.dev, found.ino, found.size, found.mtimeNs, found.ctimeNs].join(' ');
  }
}

/** Bytes on disk. */
const occupied = async (path: string): Promise<number> => (await stat(path)).blocks * 512;

const refuseOther = (stored: StoredObject, expected: Partial<StoredObject>): void => {
  const what = `the object ${expected.digest ?? stored.digest}`;
  if (expected.size !== undefined && stored.size !== expected.size)
    throw corrupt('being received', what, `it does not have ${expected.size} bytes`);
  if (expected.digest !== undefined && stored.digest !== expected.digest)
    throw corrupt('being received', what, 'its checksum does not match');
};
