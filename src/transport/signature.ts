/**
 * Ed25519 signatures of the statement (statement.ts): who has the public key knows that the manifest and every object are what
 * the owner of the private key sent, by whichever way they came.
 */
import { createHash, createPrivateKey, createPublicKey, sign, verify } from 'node:crypto';
import type { KeyObject } from 'node:crypto';
import { z } from 'zod';
import { AppShotError } from '../common/index.ts';
import { Refusal, damaged } from './refusal.ts';
import { readKeyFile } from './secret.ts';

/** Keeps the signature from being taken for one of another protocol. */
const DOMAIN = Buffer.from('appshot snapshot statement\0');

const signatureSchema = z.object({
  algorithm: z.literal('ed25519'),
  key: z.string().regex(/^[0-9a-f]{64}$/),
  signature: z.string().regex(/^[0-9a-f]{128}$/),
});

const readPem = async (path: string, parse: (pem: Buffer) => KeyObject): Promise<KeyObject> => {
  const content = await readKeyFile(path);
  const refuse = (reason: string, cause?: unknown): AppShotError =>
    new AppShotError('KEY_UNUSABLE', { path, reason }, { cause });
  let key: KeyObject;
  try {
    key = parse(content);
  } catch (error) {
    throw refuse('it is not a key in PEM', error);
  }
  if (key.asymmetricKeyType !== 'ed25519')
    throw refuse(`it is of type ${key.asymmetricKeyType}, not Ed25519`);
  return key;
};

/** A private key in PEM (`openssl genpkey -algorithm ed25519`). Throws KEY_UNUSABLE. */
export const readSigningKey = (path: string): Promise<KeyObject> => readPem(path, createPrivateKey);

/** A public key in PEM (`openssl pkey -pubout`). Throws KEY_UNUSABLE. */
export const readVerifyingKey = (path: string): Promise<KeyObject> => readPem(path, createPublicKey);

/** SHA-256 of the public key (SubjectPublicKeyInfo in DER), in hexadecimal. */
export const fingerprintOf = (key: KeyObject): string => {
  const open = key.type === 'public' ? key : createPublicKey(key);
  return createHash('sha256')
    .update(open.export({ type: 'spki', format: 'der' }))
    .digest('hex');
};

export const signStatement = (statement: Buffer, key: KeyObject): Buffer => {
  const signature = sign(null, Buffer.concat([DOMAIN, statement]), key).toString('hex');
  return Buffer.from(JSON.stringify({ algorithm: 'ed25519', key: fingerprintOf(key), signature }));
};

const parse = (record: Buffer): z.infer<typeof signatureSchema> => {
  try {
    return signatureSchema.parse(JSON.parse(record.toString('utf8')));
  } catch (error) {
    throw damaged('its signature cannot be read', error);
  }
};

/** Refuses a statement without a signature, or with one that is not by `key`. */
export const verifyStatement = (statement: Buffer, record: Buffer | undefined, key: KeyObject): void => {
  if (record === undefined) throw new Refusal('BUNDLE_UNSIGNED', 'it has no signature');
  const { key: signer, signature } = parse(record);
  if (signer !== fingerprintOf(key))
    throw new Refusal('BUNDLE_SIGNATURE', `it is signed by another key (${signer})`);
  if (!verify(null, Buffer.concat([DOMAIN, statement]), key, Buffer.from(signature, 'hex')))
    throw new Refusal('BUNDLE_SIGNATURE', 'the signature does not belong to what it is attached to');
};
