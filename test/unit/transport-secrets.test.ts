/** Keys and what they do: pieces of a ciphertext cannot be changed, moved or left out; keys that are unfit are refused. */
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { readPassphrase, readSecret, readSigningKey, readVerifyingKey } from '../../src/transport/index.ts';
import { seal, unseal } from '../../src/transport/sealing.ts';
import { envelopeSchema, newKey, openEnvelope } from '../../src/transport/secret.ts';
import { signStatement, verifyStatement } from '../../src/transport/signature.ts';
import { readStatement, writeStatement } from '../../src/transport/statement.ts';

const PIECE = 256 << 10;
const SEALED = PIECE + 16;
const key = randomBytes(32);
const context = Buffer.from('what it belongs to');

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}
const sealed = (bytes: Buffer): Promise<Buffer> => buffer(seal(key, context, once(bytes)));
const unsealed = (bytes: Buffer, of = context): Promise<Buffer> => buffer(unseal(key, of, once(bytes)));

describe('sealing', () => {
  test.each([0, 1, PIECE - 1, PIECE, PIECE + 1, 3 * PIECE])('gives %i bytes back', async (size) => {
    const plain = randomBytes(size);
    const cipher = await sealed(plain);
    expect(cipher.length).toBe(size + 16 * Math.max(1, Math.ceil(size / PIECE)));
    expect((await unsealed(cipher)).equals(plain)).toBe(true);
  });

  test('refuses pieces that were exchanged, doubled, dropped or cut off', async () => {
    const cipher = await sealed(randomBytes(3 * PIECE));
    const [one, two, three] = [0, 1, 2].map((i) => cipher.subarray(i * SEALED, (i + 1) * SEALED)) as [
      Buffer,
      Buffer,
      Buffer,
    ];
    const orders = [
      [two, one, three],
      [one, one, two, three],
      [one, three],
      [one, two],
      [one],
      [],
      [one, two, three, three],
    ];
    for (const pieces of orders)
      await expect(unsealed(Buffer.concat(pieces))).rejects.toMatchObject({ code: 'BUNDLE_CORRUPT' });
  });

  test('refuses the same in another place', async () => {
    await expect(unsealed(await sealed(Buffer.from('x')), Buffer.from('another'))).rejects.toMatchObject({
      code: 'BUNDLE_CORRUPT',
    });
  });

  test('hands nothing on that is not proved', async () => {
    const cipher = await sealed(randomBytes(2 * PIECE));
    cipher[SEALED + 5] = (cipher[SEALED + 5] as number) ^ 1;
    let got = 0;
    const reading = async (): Promise<void> => {
      for await (const piece of unseal(key, context, once(cipher))) got += piece.length;
    };
    await expect(reading()).rejects.toMatchObject({ code: 'BUNDLE_CORRUPT' });
    expect(got).toBe(PIECE);
  });
});

describe('an envelope', () => {
  test('of a passphrase gives the key back, and only to that one', async () => {
    const made = await newKey({ kind: 'passphrase', text: 'caf\u00e9' });
    const opened = await openEnvelope({ kind: 'passphrase', text: 'cafe\u0301' }, made.envelope);
    expect(opened.equals(made.key)).toBe(true);
    await expect(openEnvelope({ kind: 'passphrase', text: 'cafe' }, made.envelope)).rejects.toMatchObject({
      code: 'BUNDLE_KEY',
    });
  });

  test.each([{ n: 1 << 30 }, { n: 3 }, { n: 1 << 10 }, { r: 1 << 20 }, { p: 1000 }, { salt: '' }])(
    'that asks for %o is not read',
    (asked) => {
      const texts = { salt: '00'.repeat(32), nonce: '00'.repeat(12), key: '00'.repeat(48) };
      const envelope = { derivation: 'scrypt', n: 1 << 17, r: 8, p: 1, ...texts };
      expect(envelopeSchema.safeParse(envelope).success).toBe(true);
      expect(envelopeSchema.safeParse({ ...envelope, ...asked }).success).toBe(false);
    },
  );
});

describe('key files', () => {
  let directory: string;
  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'appshot-keys-'));
  });
  afterAll(async () => rm(directory, { recursive: true }));
  const file = async (content: string | Buffer): Promise<string> => {
    const path = join(directory, randomBytes(8).toString('hex'));
    await writeFile(path, content);
    return path;
  };

  test('hold 64 hexadecimal digits, or 32 bytes or more of anything', async () => {
    const bytes = randomBytes(32);
    const material = async (content: string | Buffer): Promise<unknown> => {
      const secret = await readSecret(await file(content));
      return secret.kind === 'key' && secret.material;
    };
    expect(await material(`${bytes.toString('hex')}\n`)).toEqual(bytes);
    expect(await material(bytes)).toEqual(bytes);
    expect(await material('x'.repeat(40))).toEqual(Buffer.from('x'.repeat(40)));
  });

  test('that are short, huge, missing or of another kind are refused', async () => {
    const unusable = { code: 'KEY_UNUSABLE' };
    await expect(readSecret(await file('short'))).rejects.toMatchObject(unusable);
    await expect(readSecret(await file(Buffer.alloc((1 << 20) + 1)))).rejects.toMatchObject(unusable);
    await expect(readSecret(join(directory, 'missing'))).rejects.toMatchObject(unusable);
    await expect(readSigningKey(await file('no PEM'))).rejects.toMatchObject(unusable);
    const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 });
    const pem = rsa.privateKey.export({ type: 'pkcs8', format: 'pem' });
    await expect(readSigningKey(await file(pem))).rejects.toThrow(/type rsa, not Ed25519/);
  });

  test('hold a passphrase in their first line', async () => {
    expect(await readPassphrase(await file('open sesame\nnot this\n'))).toMatchObject({
      text: 'open sesame',
    });
    await expect(readPassphrase(await file('\n'))).rejects.toMatchObject({ code: 'KEY_UNUSABLE' });
  });

  test('in PEM sign and verify', async () => {
    const pair = generateKeyPairSync('ed25519');
    const signing = await readSigningKey(
      await file(pair.privateKey.export({ type: 'pkcs8', format: 'pem' })),
    );
    const open = await readVerifyingKey(await file(pair.publicKey.export({ type: 'spki', format: 'pem' })));
    const statement = Buffer.from('a statement');
    const signature = signStatement(statement, signing);
    expect(() => verifyStatement(statement, signature, open)).not.toThrow();
    expect(() => verifyStatement(Buffer.from('another'), signature, open)).toThrow(/does not belong/);
    expect(() => verifyStatement(statement, undefined, open)).toThrow(/no signature/);
  });
});

describe('a statement', () => {
  const digest = fc
    .uint8Array({ minLength: 32, maxLength: 32 })
    .map((bytes) => Buffer.from(bytes).toString('hex'));
  const objects = fc.uniqueArray(
    fc.record({ digest, size: fc.nat(), kind: fc.constantFrom('file' as const, 'layer' as const) }),
    { selector: (object) => object.digest },
  );

  test('says what it was made of, in one way only', () => {
    fc.assert(
      fc.property(objects, fc.nat(), (list, seed) => {
        const text = writeStatement(Buffer.from('{}'), list);
        expect(readStatement(text).objects).toEqual(
          list.toSorted((one, other) => (one.digest < other.digest ? -1 : 1)),
        );
        const turned = list.slice(seed % (list.length + 1)).concat(list.slice(0, seed % (list.length + 1)));
        expect(writeStatement(Buffer.from('{}'), turned)).toEqual(text);
      }),
    );
  });

  test('that is written in another way is refused', () => {
    const [one, two] = ['1'.repeat(64), '2'.repeat(64)];
    const good = `appshot statement 1\nmanifest ${one} 2\nfile ${one} 1\nlayer ${two} 1\n`;
    expect(readStatement(Buffer.from(good)).objects).toHaveLength(2);
    const bad = [
      good.slice(0, -1),
      `${good}\n`,
      good.replace('statement 1', 'statement 2'),
      good.replace('file', 'link'),
      good.replace(`file ${one} 1\n`, `layer ${two} 1\n`),
      good.replace(`file ${one} 1`, `file ${one} 01`),
      good.replace(`file ${one} 1`, `file ${one} 9999999999999999`),
      good.replace('manifest', 'file'),
      good.replace(`manifest ${one} 2`, `manifest ${one} 99999999`),
      `appshot statement 1\n`,
    ];
    for (const text of bad) expect(() => readStatement(Buffer.from(text))).toThrow(/its statement/);
  });
});
