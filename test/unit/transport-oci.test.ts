/** What is decided before anything is sent: references, credentials, which objects travel together. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { BundleObject } from '../../src/transport/index.ts';
import { parseReference, readCredentials } from '../../src/transport/index.ts';
import { group, reusable } from '../../src/transport/oci/packs.ts';
import { isLoopback } from '../../src/transport/oci/reference.ts';

const digest = `sha256:${'a'.repeat(64)}`;

describe('a reference', () => {
  test.each([
    ['registry.example:5000/shop/web:monday', 'registry.example:5000', 'shop/web', 'monday', null],
    ['localhost/web', 'localhost', 'web', 'latest', null],
    ['127.0.0.1:5000/a/b/c:1.0_x', '127.0.0.1:5000', 'a/b/c', '1.0_x', null],
    ['[::1]:5000/web:x', '[::1]:5000', 'web', 'x', null],
    [`registry.example/web@${digest}`, 'registry.example', 'web', null, digest],
    [`registry.example/web:x@${digest}`, 'registry.example', 'web', 'x', digest],
  ])('%s is read', (text, host, name, tag, of) => {
    expect(parseReference(text)).toEqual({ text, host, name, tag, digest: of });
  });

  test.each([
    '',
    'web',
    'shop/web',
    '/web',
    'registry.example/',
    'registry.example/Web',
    'registry.example/a//b',
    'registry.example/web:',
    'registry.example/web:a/b',
    'registry.example/../x',
    'registry.example/web@sha256:abc',
    'user@registry.example/web',
    'https://registry.example/web',
    'registry.example/web?x=1',
    `registry.example/${'a'.repeat(256)}`,
  ])('%j is refused', (text) => {
    expect(() => parseReference(text)).toThrow(expect.objectContaining({ code: 'BAD_REFERENCE' }) as Error);
  });

  test('to this machine itself needs no TLS', () => {
    for (const host of ['localhost', 'localhost:5000', '127.0.0.1:80', '127.9.9.9', '[::1]:5000'])
      expect(isLoopback(host)).toBe(true);
    for (const host of ['127.0.0.1.example', 'localhost.example:5000', '10.0.0.1', '[::2]'])
      expect(isLoopback(host)).toBe(false);
  });
});

describe('credentials', () => {
  let directory: string;
  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'appshot-docker-'));
    const auth = Buffer.from('ali:open:sesame').toString('base64');
    const auths = {
      'registry.example:5000': { auth },
      'https://images.example/v1/': { username: 'baba', password: 'forty' },
      'empty.example': {},
    };
    await writeFile(join(directory, 'config.json'), JSON.stringify({ auths, credsStore: 'other' }));
  });
  afterAll(async () => rm(directory, { recursive: true }));

  test('are read as container tools write them', async () => {
    const read = (host: string): Promise<unknown> => readCredentials(host, { DOCKER_CONFIG: directory });
    expect(await read('registry.example:5000')).toEqual({ username: 'ali', password: 'open:sesame' });
    expect(await read('images.example')).toEqual({ username: 'baba', password: 'forty' });
    expect(await read('empty.example')).toBeUndefined();
    expect(await read('registry.example')).toBeUndefined();
  });

  test('are none without a file, and a broken file is named', async () => {
    expect(await readCredentials('a.example', { HOME: directory })).toBeUndefined();
    const broken = await mkdtemp(join(directory, 'broken-'));
    await writeFile(join(broken, 'config.json'), '{"auths":');
    await expect(readCredentials('a.example', { DOCKER_CONFIG: broken })).rejects.toMatchObject({
      code: 'KEY_UNUSABLE',
      details: { path: join(broken, 'config.json') },
    });
  });
});

describe('packs', () => {
  const object = (id: number, size: number): BundleObject => ({
    digest: id.toString(16).padStart(64, '0'),
    size,
    kind: 'file',
  });
  const pack = (key: string | null, ...objects: BundleObject[]): Parameters<typeof reusable>[0][number] => ({
    ...{ digest: 'b'.repeat(64), size: 1 },
    ...{ key, objects },
  });

  test('hold a large object each, and many small ones', () => {
    const small = Array.from({ length: 100 }, (_, id) => object(id, 100_000));
    const groups = group([object(500, 5 << 20), ...small]);
    expect(groups.map(({ length }) => length)).toEqual([41, 41, 18, 1]);
    expect(groups.flat().length).toBe(101);
    expect(group([])).toEqual([]);
  });

  test('are named again when half of them serves, and encrypted alike', () => {
    const [one, two, three] = [object(1, 10), object(2, 10), object(3, 30)];
    const half = pack(null, one, two);
    const less = pack(null, two, three);
    expect(reusable([half, less], [one, two], false)).toEqual([half]);
    expect(reusable([less], [one, two], false)).toEqual([]);
    expect(reusable([half, half], [one, two], false)).toEqual([half]);
    expect(reusable([half], [one, two], true)).toEqual([]);
    expect(reusable([pack('c'.repeat(64), one)], [one], false)).toEqual([]);
  });
});
