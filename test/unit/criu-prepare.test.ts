/** Dumps as CRIU leaves them, made restorable inside a user namespace. */
import { mkdir, mkdtemp, readFile, readdir, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it, onTestFinished } from 'vitest';
import { decodeImage, dropUserNamespace, encodeImage } from '../../src/criu/index.ts';
import type { Schema } from '../../src/criu/index.ts';
import { builtSchema, newerSchema, schemas } from './criu-schema.ts';

const INVENTORY = [0x58313116];
const IDS = [0x54564319, 0x54432030];
const ids = { vmId: 3, filesId: 4, fsId: 5, sighandId: 6 };

const number32 = (value: number): Buffer => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
};

const writeIds = (schema: Schema, path: string, more: Record<string, unknown>): Promise<void> =>
  writeFile(
    path,
    encodeImage(schema, { name: basename(path), magics: IDS, entries: [{ message: { ...ids, ...more } }] }),
  );

const readIds = async (schema: Schema, path: string): Promise<Record<string, unknown>> => {
  const { magics, entries } = decodeImage(schema, basename(path), await readFile(path));
  expect(magics).toEqual(IDS);
  expect(entries).toHaveLength(1);
  return entries[0]?.message ?? {};
};

/** A dump of two tasks in user namespace 9, by an engine in user namespace 2. */
const makeDump = async (schema: Schema, rootIds: unknown = { ...ids, userNsId: 2 }): Promise<string> => {
  const directory = await mkdtemp(join(tmpdir(), 'appshot-dump-'));
  onTestFinished(() => rm(directory, { recursive: true, force: true }));
  const message = { imgVersion: 2, ...(rootIds ? { rootIds } : {}) };
  const inventory = { name: 'inventory.img', magics: INVENTORY, entries: [{ message }] };
  await writeFile(join(directory, 'inventory.img'), encodeImage(schema, inventory));
  for (const task of [1, 1000]) await writeIds(schema, join(directory, `ids-${task}.img`), { userNsId: 9 });
  await writeFile(join(directory, 'pages-1.img'), 'no image that is read here');
  return directory;
};

const failsWith = (reason: string) =>
  expect.objectContaining({
    code: 'ENGINE_FAILED',
    message: expect.stringContaining(reason) as string,
  }) as Error;

describe.each(schemas)('a dump, by %s', (_, schema) => {
  it("gets the engine's user namespace into every task's IDs, and nothing else changes", async () => {
    const directory = await makeDump(schema);
    const before = await readFile(join(directory, 'inventory.img'));
    await dropUserNamespace(schema, directory);
    for (const task of [1, 1000])
      expect(await readIds(schema, join(directory, `ids-${task}.img`))).toMatchObject({
        ...ids,
        userNsId: 2,
      });
    expect(await readFile(join(directory, 'inventory.img'))).toEqual(before);
    expect(await readFile(join(directory, 'pages-1.img'), 'utf8')).toBe('no image that is read here');
    expect(await readdir(directory)).toHaveLength(4);
  });

  it('may be prepared twice', async () => {
    const directory = await makeDump(schema);
    await dropUserNamespace(schema, directory);
    const once = await readFile(join(directory, 'ids-1.img'));
    await dropUserNamespace(schema, directory);
    expect(await readFile(join(directory, 'ids-1.img'))).toEqual(once);
  });

  it.each([
    ['no IDs', undefined],
    ['no user namespace', ids],
  ])('is refused when its inventory names %s', async (what, rootIds) => {
    const directory = await makeDump(schema, what === 'no IDs' ? null : rootIds);
    await expect(dropUserNamespace(schema, directory)).rejects.toThrow(failsWith('inventory.img'));
    expect(await readIds(schema, join(directory, 'ids-1.img'))).toMatchObject({ userNsId: 9 });
  });

  it('is refused without an inventory', async () => {
    const directory = await makeDump(schema);
    await rm(join(directory, 'inventory.img'));
    await expect(dropUserNamespace(schema, directory)).rejects.toThrow(failsWith('inventory.img'));
  });

  it('is refused when an image is cut off', async () => {
    const directory = await makeDump(schema);
    const path = join(directory, 'ids-1000.img');
    await truncate(path, (await readFile(path)).length - 1);
    await expect(dropUserNamespace(schema, directory)).rejects.toThrow(
      failsWith('its images cannot be read: ids-1000.img ends within a message, at byte 12'),
    );
  });
});

describe('a dump', () => {
  it('keeps fields that the schema does not know', async () => {
    const directory = await makeDump(builtSchema);
    await writeIds(newerSchema, join(directory, 'ids-1.img'), { userNsId: 9, newerId: 77 });
    await dropUserNamespace(builtSchema, directory);
    expect(await readIds(newerSchema, join(directory, 'ids-1.img'))).toMatchObject({
      userNsId: 2,
      newerId: 77,
    });
  });

  it('of any bytes is prepared or refused, never anything else', async () => {
    const directory = join(await makeDump(builtSchema), 'fuzz');
    await mkdir(directory);
    const bytes = fc.oneof(
      fc.uint8Array({ maxLength: 60 }),
      fc
        .uint8Array({ maxLength: 60 })
        .map((message) => Buffer.concat([...IDS, message.length].map(number32).concat(Buffer.from(message)))),
    );
    await fc.assert(
      fc.asyncProperty(bytes, bytes, async (inventory, task) => {
        await writeFile(join(directory, 'inventory.img'), inventory);
        await writeFile(join(directory, 'ids-1.img'), task);
        const [result] = await Promise.allSettled([dropUserNamespace(builtSchema, directory)]);
        expect([
          { status: 'fulfilled', value: undefined },
          { status: 'rejected', reason: failsWith('cannot be read') },
        ]).toContainEqual(result);
      }),
      { numRuns: 200 },
    );
  });
});
