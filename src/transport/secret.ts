/**
 * Keys that users keep: a key file or a passphrase. Neither encrypts data itself: it wraps the random key of one stream, by
 * HKDF-SHA256 or scrypt with a salt of that stream's own. What a stored envelope asks of scrypt is bounded before it is done.
 */
import { createCipheriv, createDecipheriv, hkdf, randomBytes, scrypt } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { promisify } from 'node:util';
import { z } from 'zod';
import { AppShotError } from '../common/index.ts';
import { Refusal } from './refusal.ts';

/** Opens what is encrypted. The `material` of a key file is at least 32 bytes. */
export type Secret =
  | { readonly kind: 'key'; readonly material: Buffer }
  | { readonly kind: 'passphrase'; readonly text: string };

const KEY_FILE_LIMIT = 1 << 20;
const KEY_BYTES = 32;
const hex = (bytes: number): z.ZodString => z.string().regex(new RegExp(`^[0-9a-f]{${bytes * 2}}$`));
const wrapped = { salt: hex(32), nonce: hex(12), key: hex(KEY_BYTES + 16) };

/** How the key of a stream is wrapped. scrypt takes 128·n·r bytes of memory: 16 to 256 MiB within these bounds. */
export const envelopeSchema = z.discriminatedUnion('derivation', [
  z.object({ derivation: z.literal('hkdf-sha256'), ...wrapped }),
  z.object({
    derivation: z.literal('scrypt'),
    n: z.union([1 << 14, 1 << 15, 1 << 16, 1 << 17, 1 << 18].map((n) => z.literal(n))),
    r: z.literal(8),
    p: z.int().min(1).max(4),
    ...wrapped,
  }),
]);
export type Envelope = z.infer<typeof envelopeSchema>;

type Derivation = { derivation: 'hkdf-sha256' } | { derivation: 'scrypt'; n: number; r: number; p: number };

const hkdfKey = promisify(hkdf);
const scryptKey = promisify<string, Buffer, number, object, Buffer>(scrypt);

const derive = async (secret: Secret, salt: Buffer, how: Derivation): Promise<Buffer> => {
  if (secret.kind === 'key' && how.derivation === 'hkdf-sha256')
    return Buffer.from(await hkdfKey('sha256', secret.material, salt, 'appshot bundle key', KEY_BYTES));
  if (secret.kind === 'passphrase' && how.derivation === 'scrypt') {
    const cost = { N: how.n, r: how.r, p: how.p, maxmem: 256 * how.n * how.r };
    return scryptKey(secret.text.normalize('NFC'), salt, KEY_BYTES, cost);
  }
  throw new Refusal(
    'BUNDLE_KEY',
    how.derivation === 'scrypt' ? 'it needs a passphrase' : 'it needs a key file',
  );
};

const howFor = (secret: Secret): Derivation =>
  secret.kind === 'key' ? { derivation: 'hkdf-sha256' } : { derivation: 'scrypt', n: 1 << 17, r: 8, p: 1 };

/** A new random key, and the envelope that gives it back to who has the secret. */
export const newKey = async (secret: Secret): Promise<{ key: Buffer; envelope: Envelope }> => {
  const [key, salt, nonce, how] = [randomBytes(KEY_BYTES), randomBytes(32), randomBytes(12), howFor(secret)];
  const cipher = createCipheriv('aes-256-gcm', await derive(secret, salt, how), nonce);
  const sealed = Buffer.concat([cipher.update(key), cipher.final(), cipher.getAuthTag()]);
  const text = { salt: salt.toString('hex'), nonce: nonce.toString('hex'), key: sealed.toString('hex') };
  return { key, envelope: { ...how, ...text } as Envelope };
};

/** The key in an envelope. A refusal says that the secret is of the other kind, or the wrong one. */
export const openEnvelope = async (secret: Secret, envelope: Envelope): Promise<Buffer> => {
  const [salt, nonce, sealed] = [envelope.salt, envelope.nonce, envelope.key].map((text) =>
    Buffer.from(text, 'hex'),
  ) as [Buffer, Buffer, Buffer];
  const decipher = createDecipheriv('aes-256-gcm', await derive(secret, salt, envelope), nonce);
  decipher.setAuthTag(sealed.subarray(KEY_BYTES));
  try {
    return Buffer.concat([decipher.update(sealed.subarray(0, KEY_BYTES)), decipher.final()]);
  } catch (error) {
    const what = secret.kind === 'key' ? 'key' : 'passphrase';
    throw new Refusal('BUNDLE_KEY', `the ${what} is not the one that it was encrypted with`, error);
  }
};

const unusable = (path: string, reason: string, cause?: unknown): AppShotError =>
  new AppShotError('KEY_UNUSABLE', { path, reason }, { cause });

/** Reads a file that holds a key, 1 MiB at most. Throws KEY_UNUSABLE. */
export const readKeyFile = async (path: string): Promise<Buffer> => {
  const content = await readFile(path).catch((error: unknown) => {
    throw unusable(path, (error as Error).message, error);
  });
  if (content.length > KEY_FILE_LIMIT) throw unusable(path, 'it is larger than 1 MiB');
  return content;
};

/** The first line of a file, as a passphrase. Throws KEY_UNUSABLE. */
export const readPassphrase = async (path: string): Promise<Secret> => {
  const [text = ''] = (await readKeyFile(path)).toString('utf8').split(/\r?\n/, 1);
  if (text === '') throw unusable(path, 'its first line is empty');
  return { kind: 'passphrase', text };
};

/** A key file for encryption: 64 hexadecimal digits, or 32 bytes or more of anything. Throws KEY_UNUSABLE. */
export const readSecret = async (path: string): Promise<Secret> => {
  const content = await readKeyFile(path);
  const digits = content.toString('latin1').trim();
  if (/^[0-9a-fA-F]{64}$/.test(digits)) return { kind: 'key', material: Buffer.from(digits, 'hex') };
  if (content.length < KEY_BYTES) throw unusable(path, 'it has fewer than 32 bytes');
  return { kind: 'key', material: content };
};
