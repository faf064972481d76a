/**
 * The names of applications in the machine's hosts file, so that whatever runs on it reaches them by name.
 *
 * The file is others' too: the block is changed and nothing else, and the file keeps its mode, its owner and its attributes. It is
 * replaced by a rename, so that nobody reads half of it. In a container /etc/hosts commonly is a mount, which cannot be renamed over; then
 * it is written in place.
 */
import { open, readFile, realpath, rename, rm, stat } from 'node:fs/promises';
import type { BigIntStats } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { fsyncPath, newId } from '../common/index.ts';
import { start } from '../exec/index.ts';
import { getXattr, isErrno, listXattrs, setXattr } from '../kernel/index.ts';
import { withBlock } from './hosts-block.ts';
import type { HostsEntry } from './hosts-block.ts';

/** The file is a mount, or its directory cannot be written. */
const IN_PLACE = new Set(['EBUSY', 'EROFS', 'EXDEV', 'EACCES', 'EPERM']);
const MODE = 0o644;
/** How often an editor may come in between, and how long another daemon may take, in seconds. */
const ATTEMPTS = 10;
const PATIENCE = 10;

interface Seen {
  readonly path: string;
  readonly text: string;
  readonly state: BigIntStats;
}

const codeOf = (error: unknown): string => (error as NodeJS.ErrnoException).code ?? '';

const isMissing = async (path: string): Promise<boolean> => {
  try {
    await stat(path);
    return false;
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return true;
    throw error;
  }
};

const create = async (path: string): Promise<void> => {
  await using file = await open(path, 'a', MODE);
  await file.chmod(MODE);
};

const look = async (path: string): Promise<Seen> => {
  const state = await stat(path, { bigint: true });
  return { path, text: await readFile(path, 'latin1'), state };
};

const isUnchanged = async ({ path, state }: Seen): Promise<boolean> => {
  const now = await stat(path, { bigint: true });
  return now.ino === state.ino && now.size === state.size && now.ctimeNs === state.ctimeNs;
};

/**
 * Does `work` while no other daemon changes the file. The lock is on the file itself, as its directory may be another one for a daemon in
 * a container; who waited for a file that was then replaced waits for the new one. The tool locks the open file that it inherits, so the
 * lock ends when we close it or die.
 */
const withLock = async (path: string, work: () => Promise<void>): Promise<void> => {
  for (;;) {
    await using file = await open(path, 'r');
    const args = ['--exclusive', '--timeout', String(PATIENCE), '3'];
    const tool = await start('flock', args, { stdio: ['ignore', 'ignore', 'inherit', file.fd] });
    const { code } = await tool.exited;
    if (code !== 0) throw new Error(`another program has held a lock on ${path} for ${PATIENCE} s`);
    const [locked, named] = await Promise.all([file.stat(), stat(path)]);
    if (locked.ino === named.ino) return await work();
  }
};

const copyAttributes = (from: string, to: string): void => {
  for (const name of listXattrs(from)) {
    try {
      setXattr(to, name, getXattr(from, name));
    } catch (error) {
      // Those of a security module that does not let itself be told.
      if (!isErrno(error, 'EPERM') && !isErrno(error, 'EOPNOTSUPP')) throw error;
    }
  }
};

/** Writes a file beside, made like the one that it replaces. */
const writeDraft = async (draft: string, text: string, { path, state }: Seen): Promise<void> => {
  await using file = await open(draft, 'wx', 0o600);
  await file.writeFile(text, 'latin1');
  await file.chown(Number(state.uid), Number(state.gid));
  await file.chmod(Number(state.mode) & 0o7777);
  copyAttributes(path, draft);
  await file.sync();
};

/** False when an editor changed the file meanwhile. */
const replace = async (seen: Seen, text: string): Promise<boolean> => {
  const draft = join(dirname(seen.path), `.${basename(seen.path)}.${newId()}.tmp`);
  try {
    await writeDraft(draft, text, seen);
    if (!(await isUnchanged(seen))) return false;
    await rename(draft, seen.path);
    await fsyncPath(dirname(seen.path));
    return true;
  } finally {
    await rm(draft, { force: true });
  }
};

const overwrite = async (path: string, text: string): Promise<void> => {
  await using file = await open(path, 'r+');
  const bytes = Buffer.from(text, 'latin1');
  let written = 0;
  while (written < bytes.length)
    written += (await file.write(bytes, written, bytes.length - written, written)).bytesWritten;
  await file.truncate(bytes.length);
  await file.sync();
};

const writeInPlace = async ({ path, text: before }: Seen, text: string): Promise<void> => {
  try {
    await overwrite(path, text);
  } catch (error) {
    // No room for all of it: what was there had room.
    await overwrite(path, before);
    throw error;
  }
};

const write = async (seen: Seen, text: string): Promise<boolean> => {
  try {
    return await replace(seen, text);
  } catch (error) {
    if (!IN_PLACE.has(codeOf(error))) throw error;
    await writeInPlace(seen, text);
    return true;
  }
};

export class HostsFile {
  readonly #path: string;
  readonly #owner: string;
  #wanted: readonly HostsEntry[] = [];
  /** The writing that has not begun yet, and the one before it. */
  #next: Promise<void> | undefined;
  #last: Promise<void> = Promise.resolve();

  /** `owner` names whose block it is, as another daemon has another one in the same file. */
  constructor(path: string, owner: string) {
    this.#path = path;
    this.#owner = owner;
  }

  /**
   * Makes the block hold these entries; none, and there is no block. Resolves when the file has them, or those of a later call: of many
   * that wait only the last is written. Fails as the file system does; the file is then as it was.
   */
  write(entries: readonly HostsEntry[]): Promise<void> {
    this.#wanted = entries;
    this.#next ??= this.#last = this.#after(this.#last);
    return this.#next;
  }

  /** Removes the block. */
  clear(): Promise<void> {
    return this.write([]);
  }

  async #after(last: Promise<void>): Promise<void> {
    await last.catch(() => undefined);
    this.#next = undefined;
    await this.#writeNow(this.#wanted);
  }

  async #writeNow(entries: readonly HostsEntry[]): Promise<void> {
    if (await isMissing(this.#path)) {
      if (entries.length === 0) return;
      await create(this.#path);
    }
    // A link stays one: what it leads to is the file.
    const path = await realpath(this.#path);
    await withLock(path, () => this.#change(path, entries));
  }

  async #change(path: string, entries: readonly HostsEntry[]): Promise<void> {
    for (let attempt = 1; attempt <= ATTEMPTS; attempt += 1) {
      const seen = await look(path);
      const text = withBlock(seen.text, this.#owner, entries);
      if (text === seen.text || (await write(seen, text))) return;
    }
    throw new Error(`${path} is changed by others all the time`);
  }
}
