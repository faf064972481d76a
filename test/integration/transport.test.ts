/** Snapshots by way of Debian's docker-registry: what is pushed is pulled, only what is missing travels, and a broken way harms nothing. */
import { generateKeyPairSync, randomBytes } from 'node:crypto';

import { open, readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { pullBundle, pushBundle } from '../../src/transport/index.ts';
import type { BundleObject, BundleSource, PullOptions, Secret } from '../../src/transport/index.ts';
import { MemorySink, sourceOf } from '../support/bundles.ts';
import { startBreakingWay, startImageRegistry } from '../support/image-registry.ts';
import { startTokens } from '../support/image-tokens.ts';
import type { BreakingWay, ImageRegistry } from '../support/image-registry.ts';

const { privateKey, publicKey } = generateKeyPairSync('ed25519');
const secret: Secret = { kind: 'key', material: randomBytes(32) };

let registry: ImageRegistry;
let way: BreakingWay;
let names = 0;
const newName = (): string => `shop/app${++names}`;

beforeAll(async () => {
  registry = await startImageRegistry();
  way = await startBreakingWay(registry.host);
});
afterAll(async () => {
  await way[Symbol.asyncDispose]();
  await registry[Symbol.asyncDispose]();
});

/** A large layer that stays, a large one that changes, and small files. */
const layer = randomBytes(3 << 20);
const small = Array.from({ length: 50 }, (_, index) => Buffer.from(`file ${index}`.repeat(100 + index)));
const snapshot = (id: number): BundleSource =>
  sourceOf(JSON.stringify({ id }), [layer, randomBytes(2 << 20), Buffer.from(`only in ${id}`), ...small]);

const byDigest = (one: BundleObject, other: BundleObject): number => (one.digest < other.digest ? -1 : 1);

const expectHas = (sink: MemorySink, source: BundleSource): void => {
  expect(sink.commits).toEqual([source.manifest.toString('utf8')]);
  for (const { digest, size } of source.objects) expect(sink.objects.get(digest)?.length).toBe(size);
};

describe.each([
  ['plain', undefined],
  ['encrypted', secret],
])('pushed %s', (_how, key) => {
  test('it is pulled, by its tag and by its digest', async () => {
    const source = snapshot(1);
    const reference = `${registry.host}/${newName()}:monday`;
    const pushed = await pushBundle(source, reference, { secret: key, sign: privateKey });
    for (const from of [reference, `${reference.replace(/:monday$/, '')}@${pushed.digest}`]) {
      const sink = new MemorySink();
      const pulled = await pullBundle(from, sink, { secret: key, verify: publicKey });
      expectHas(sink, source);
      expect(pulled).toMatchObject({ digest: pushed.digest, signed: true, objects: 53 });
    }
  });

  test('only what is missing travels, either way', async () => {
    const reference = `${way.host}/${newName()}:latest`;
    const first = snapshot(1);
    const second = snapshot(2);
    const sink = new MemorySink();
    way.allow(Number.POSITIVE_INFINITY);
    const { sent } = await pushBundle(first, reference, { secret: key });
    expect(sent).toBeGreaterThan(5 << 20);
    await pullBundle(reference, sink, { secret: key });

    way.allow(Number.POSITIVE_INFINITY);
    const again = await pushBundle(second, reference, { secret: key });
    expect(way.passed).toBeLessThan(2.2 * (1 << 20));
    expect(again.sent).toBeLessThan(2.1 * (1 << 20));
    expect(again.reused).toBeGreaterThan(3 << 20);

    way.allow(Number.POSITIVE_INFINITY);
    sink.commits.length = 0;
    await pullBundle(reference, sink, { secret: key });
    expect(way.passed).toBeLessThan(2.2 * (1 << 20));
    expectHas(sink, second);
  });

  test('what another tag has is not sent when it is the base', async () => {
    const name = `${registry.host}/${newName()}`;
    await pushBundle(snapshot(1), `${name}:one`, { secret: key });
    const { sent } = await pushBundle(snapshot(2), `${name}:two`, { secret: key, base: 'one' });
    expect(sent).toBeLessThan(2.1 * (1 << 20));
  });

  test('a way that breaks anywhere harms nothing, and what arrived is not fetched again', async () => {
    const source = snapshot(1);
    let reference = '';
    for (const share of [0, 0.2, 0.7, 0.99]) {
      reference = `${way.host}/${newName()}:latest`;
      way.allow(share * (5 << 20));
      const broken = pushBundle(source, reference, { secret: key });
      await expect(broken).rejects.toMatchObject({ code: 'REMOTE_UNREACHABLE' });
      const direct = reference.replace(way.host, registry.host);
      await expect(pullBundle(direct, new MemorySink(), { secret: key })).rejects.toMatchObject({
        code: 'REMOTE_NOT_FOUND',
      });
    }
    way.allow(Number.POSITIVE_INFINITY);
    await pushBundle(source, reference, { secret: key });
    // An encrypted push has new keys, so what a broken one left behind serves only a plain one.
    expect(way.passed).toBeLessThan((key === undefined ? 3.3 : 5.3) * (1 << 20));

    const sink = new MemorySink();
    for (const share of [0.001, 0.45]) {
      way.allow(share * (5 << 20));
      const broken = pullBundle(reference, sink, { secret: key });
      await expect(broken).rejects.toMatchObject({ code: 'REMOTE_UNREACHABLE' });
      expect(sink.commits).toEqual([]);
    }
    // Of the two large objects, the first may need another way to be long enough.
    const [large] = source.objects.filter(({ size }) => size > 1 << 20).toSorted(byDigest) as [BundleObject];
    way.allow(large.size + (1 << 20));
    await expect(pullBundle(reference, sink, { secret: key })).rejects.toMatchObject({
      code: 'REMOTE_UNREACHABLE',
    });
    expect([...sink.objects.keys()]).toContain(large.digest);
    way.allow(Number.POSITIVE_INFINITY);
    await pullBundle(reference, sink, { secret: key });
    expectHas(sink, source);
    expect(way.passed).toBeLessThan((5 << 20) - large.size + (1 << 18));
  });
});

describe('what cannot be pulled', () => {
  const codeOf = (reference: string, options: PullOptions = {}): Promise<unknown> =>
    pullBundle(reference, new MemorySink(), options).then(
      () => 'pulled',
      (error: { code?: unknown }) => error.code ?? error,
    );

  test('is not there, is signed by another or nobody, or encrypted with another key', async () => {
    const name = `${registry.host}/${newName()}`;
    await pushBundle(snapshot(1), `${name}:plain`);
    await pushBundle(snapshot(1), `${name}:ours`, { sign: privateKey, secret });
    const other = generateKeyPairSync('ed25519').publicKey;
    expect(await codeOf(`${name}:never`)).toBe('REMOTE_NOT_FOUND');
    expect(await codeOf(`${name}:plain`, { verify: publicKey })).toBe('BUNDLE_UNSIGNED');
    expect(await codeOf(`${name}:ours`, { verify: other, secret })).toBe('BUNDLE_SIGNATURE');
    expect(await codeOf(`${name}:ours`)).toBe('BUNDLE_KEY');
    expect(await codeOf(`${name}:plain`, { secret })).toBe('BUNDLE_KEY');
    const wrong: Secret = { kind: 'key', material: randomBytes(32) };
    expect(await codeOf(`${name}:ours`, { secret: wrong })).toBe('BUNDLE_KEY');
  });

  test('is an image of another kind', async () => {
    const name = newName();
    await pushBundle(snapshot(1), `${registry.host}/${name}:latest`);
    const at = `http://${registry.host}/v2/${name}/manifests`;
    const type = 'application/vnd.oci.image.manifest.v1+json';
    const ours = await fetch(`${at}/latest`, { headers: { accept: type } });
    const image = (await ours.text()).replace(
      /application\/vnd\.appshot[\w.]*config[\w.]*/,
      'application/json',
    );
    const put = await fetch(`${at}/image`, { method: 'PUT', body: image, headers: { 'content-type': type } });
    expect(put.status).toBe(201);
    expect(await codeOf(`${registry.host}/${name}:image`)).toBe('BUNDLE_FOREIGN');
  });

  test('was changed where the registry keeps it', async () => {
    const name = `${registry.host}/${newName()}:latest`;
    const layerOnly = sourceOf('{}', [randomBytes(2 << 20)]);
    await pushBundle(layerOnly, name);
    const blobs = join(registry.directory, 'storage/docker/registry/v2/blobs');
    for (const file of await readdir(blobs, { recursive: true })) {
      if (!file.endsWith('/data') || (await stat(join(blobs, file))).size < 2 << 20) continue;
      await using blob = await open(join(blobs, file), 'r+');
      await blob.write(Buffer.from('changed'), 0, 7, 1 << 20);
    }
    expect(await codeOf(name)).toBe('BUNDLE_CORRUPT');
  });

  test('is not to be had from a place where nothing listens', async () => {
    expect(await codeOf('127.0.0.1:1/shop/app')).toBe('REMOTE_UNREACHABLE');
  });
});

describe('access', () => {
  const credentials = { username: 'ali', password: 'open sesame' };

  test('by name and password', async () => {
    // Of that password, as `htpasswd -B` makes it.
    const users = 'ali:$2y$05$abcdefghijklmnopqrstuupx2xBUC4954936wVIjyyPHmUBFu0wCW\n';
    const auth = (directory: string): object => ({
      htpasswd: { realm: 'test', path: join(directory, 'users') },
    });
    await using closed = await startImageRegistry(auth, { users });
    const reference = `${closed.host}/shop/app:latest`;
    const source = snapshot(1);
    const refused = { code: 'REMOTE_REFUSED' };
    await expect(pushBundle(source, reference)).rejects.toMatchObject(refused);
    const wrong = { credentials: { ...credentials, password: 'open barley' } };
    await expect(pushBundle(source, reference, wrong)).rejects.toMatchObject(refused);
    await pushBundle(source, reference, { credentials });
    const sink = new MemorySink();
    await expect(pullBundle(reference, sink)).rejects.toMatchObject(refused);
    await pullBundle(reference, sink, { credentials });
    expectHas(sink, source);
  });

  test('by a token for what is asked for', async () => {
    await using tokens = await startTokens(credentials);
    await using closed = await startImageRegistry(tokens.auth, tokens.files);
    const reference = `${closed.host}/shop/app:latest`;
    const source = snapshot(1);
    await expect(pushBundle(source, reference)).rejects.toMatchObject({ code: 'REMOTE_REFUSED' });
    await pushBundle(source, reference, { credentials });
    const sink = new MemorySink();
    await pullBundle(reference, sink, { credentials });
    expectHas(sink, source);
    expect(tokens.scopes).toContain('repository:shop/app:pull');
  });
});
