/** Objects on a real disk. */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  chmodSync,
  existsSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { describe, expect, it, onTestFinished } from 'vitest';
import { ObjectStore } from '../../src/snapshots/objects.ts';

const sha256 = (content: string | Uint8Array): string => createHash('sha256').update(content).digest('hex');
const ABSENT = 'a'.repeat(64);

const makePlace = async (): Promise<{ directory: string; objects: ObjectStore }> => {
  const directory = await mkdtemp(join(tmpdir(), 'appshot-objects-'));
  onTestFinished(() => rm(directory, { recursive: true, force: true }));
  return { directory, objects: new ObjectStore(join(directory, 'objects')) };
};

const pieces = async function* (...content: string[]): AsyncGenerator<Buffer> {
  for (const piece of content) yield Buffer.from(piece);
};

/** Names of everything below the store: an object's shelf and digest, or what should not be there. */
const everything = (objects: ObjectStore): string[] =>
  readdirSync(objects.directory, { recursive: true, encoding: 'utf8' }).filter((name) => name.length !== 2);

describe('keeping', () => {
  it('takes files, bytes and streams, each content once', async () => {
    const { directory, objects } = await makePlace();
    const path = join(directory, 'file');
    writeFileSync(path, 'content');
    const stored = { digest: sha256('content'), size: 7 };
    await expect(objects.adopt(path)).resolves.toStrictEqual(stored);
    const inode = statSync(objects.path(stored.digest)).ino;
    expect(objects.putBytes(Buffer.from('content'))).toStrictEqual(stored);
    await expect(objects.put(pieces('con', 'tent'))).resolves.toStrictEqual(stored);
    await expect(objects.putStream(stored.digest, 7, pieces('content'))).resolves.toStrictEqual(stored);
    expect(statSync(objects.path(stored.digest)).ino).toBe(inode);
    expect(statSync(objects.path(stored.digest)).mode & 0o777).toBe(0o400);
    expect(everything(objects)).toStrictEqual([`${stored.digest.slice(0, 2)}/${stored.digest}`]);
    await expect(objects.list()).resolves.toStrictEqual([stored.digest]);
    await expect(buffer(objects.read(stored.digest))).resolves.toStrictEqual(Buffer.from('content'));
    await objects.flush([stored.digest, stored.digest]);
  });

  it('takes files larger than a piece, and empty ones', async () => {
    const { directory, objects } = await makePlace();
    const large = Buffer.alloc((5 << 20) + 17, 'a pattern');
    writeFileSync(join(directory, 'large'), large);
    writeFileSync(join(directory, 'empty'), '');
    const { digest, size } = await objects.adopt(join(directory, 'large'));
    expect({ digest, size }).toStrictEqual({ digest: sha256(large), size: large.length });
    expect(readFileSync(objects.path(digest)).equals(large)).toBe(true);
    await expect(objects.adopt(join(directory, 'empty'))).resolves.toStrictEqual({
      digest: sha256(''),
      size: 0,
    });
    await expect(objects.bytes(digest, 1000)).rejects.toThrow(RangeError);
  });

  it.each([
    ['another content', sha256('right'), undefined, 'its checksum does not match'],
    ['too much', undefined, 3, 'it does not have 3 bytes'],
    ['too little', undefined, 50, 'it does not have 50 bytes'],
  ])('refuses %s from elsewhere and keeps nothing', async (_, digest, size, reason) => {
    const { objects } = await makePlace();
    await expect(objects.putStream(digest, size, pieces('wrong', '!'))).rejects.toMatchObject({
      code: 'SNAPSHOT_CORRUPT',
      details: { reason },
    });
    expect(everything(objects)).toStrictEqual([]);
  });

  it('keeps nothing of a source that fails', async () => {
    const { directory, objects } = await makePlace();
    const failing = async function* (): AsyncGenerator<Buffer> {
      yield Buffer.from('some');
      throw new Error('the peer is gone');
    };
    await expect(objects.putStream(undefined, undefined, failing())).rejects.toThrow('the peer is gone');
    await expect(objects.adopt(join(directory, 'absent'))).rejects.toMatchObject({ code: 'ENOENT' });
    expect(everything(objects)).toStrictEqual([]);
  });

  it('replaces one that another process left damaged, though its size is right', async () => {
    const { objects } = await makePlace();
    const { digest } = objects.putBytes(Buffer.from('content'));
    chmodSync(objects.path(digest), 0o600);
    writeFileSync(objects.path(digest), 'CONTENT');
    const later = new ObjectStore(objects.directory);
    await later.put(pieces('content'));
    await expect(new ObjectStore(objects.directory).verify(digest)).resolves.toBeUndefined();
  });

  it('replaces one that was cut short', async () => {
    const { objects } = await makePlace();
    const { digest } = objects.putBytes(Buffer.from('content'));
    chmodSync(objects.path(digest), 0o600);
    writeFileSync(objects.path(digest), 'con');
    objects.putBytes(Buffer.from('content'));
    await expect(objects.verify(digest)).resolves.toBeUndefined();
  });
});

describe('verifying', () => {
  it('finds what was altered, though size and time are the same', async () => {
    const { objects } = await makePlace();
    const { digest } = objects.putBytes(Buffer.from('content'));
    await objects.verify(digest);
    const { atime, mtime } = statSync(objects.path(digest));
    chmodSync(objects.path(digest), 0o600);
    writeFileSync(objects.path(digest), 'CONTENT');
    utimesSync(objects.path(digest), atime, mtime);
    await expect(objects.verify(digest, { snapshot: '01J', file: 'upper/x' })).rejects.toMatchObject({
      code: 'SNAPSHOT_CORRUPT',
      message: `the snapshot 01J is damaged: upper/x: the checksum of the object ${digest} does not match`,
    });
    await expect(objects.verify(ABSENT)).rejects.toMatchObject({ code: 'SNAPSHOT_CORRUPT' });
  });

  it('reads those that another process left, once', async () => {
    const { objects } = await makePlace();
    const { digest } = objects.putBytes(Buffer.from('content'));
    const later = new ObjectStore(objects.directory);
    await later.verify(digest);
    await later.verify(digest);
    expect(later.has(digest)).toBe(true);
    expect(later.has(ABSENT)).toBe(false);
  });

  it('takes nothing but digests', async () => {
    const { objects } = await makePlace();
    for (const name of ['../../etc/passwd', '', 'A'.repeat(64), `${ABSENT}/..`])
      expect(() => objects.path(name)).toThrow(RangeError);
  });
});

describe('removing', () => {
  it('sweeps what is not live and what a crash left, and spares what is being written', async () => {
    const { objects } = await makePlace();
    const live = objects.putBytes(Buffer.from('live')).digest;
    objects.putBytes(Buffer.alloc(10_000));
    writeFileSync(join(objects.directory, '.01JOLD.draft'), 'left over');
    let go = (): void => undefined;
    const wait = new Promise<void>((resolve) => (go = resolve));
    const slow = async function* (): AsyncGenerator<Buffer> {
      yield Buffer.from('slow');
      await wait;
    };
    const writing = objects.put(slow());
    const dry = await objects.sweep(new Set([live]), { dryRun: true });
    const swept = await objects.sweep(new Set([live]));
    expect(swept).toStrictEqual(dry);
    expect(swept.count).toBe(1);
    expect(swept.bytes).toBeGreaterThanOrEqual(10_000);
    go();
    const { digest } = await writing;
    await expect(objects.list()).resolves.toStrictEqual([live, digest].toSorted());
    expect(everything(objects).filter((name) => name.startsWith('.'))).toStrictEqual([]);
    await objects.remove(live);
    await objects.remove(live);
    expect(existsSync(objects.path(live))).toBe(false);
    await expect(objects.flush([live])).rejects.toMatchObject({ code: 'ENOENT' });
  });
});

describe.skipIf(process.getuid?.() !== 0)('on a full disk (as root, who may mount one)', () => {
  it('says so and leaves nothing', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'appshot-objects-'));
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', directory]);
    onTestFinished(() => {
      execFileSync('umount', [directory]);
      rmSync(directory, { recursive: true });
    });
    const objects = new ObjectStore(join(directory, 'objects'));
    const large = Buffer.alloc(2 << 20, 1);
    const full = { code: 'NO_SPACE', details: { path: objects.directory } };
    await expect(objects.put([large])).rejects.toMatchObject(full);
    expect(() => objects.putBytes(large)).toThrow(expect.objectContaining({ code: 'NO_SPACE' }));
    expect(everything(objects)).toStrictEqual([]);
    expect(objects.putBytes(Buffer.alloc(500_000)).size).toBe(500_000);
  });
});
