/** The head of what travels: statement, signature and manifest, read and judged before any object is. */
import type { KeyObject } from 'node:crypto';
import type { ByteReader } from './bytes.ts';
import { MANIFEST_LIMIT } from './bundle.ts';
import type { BundleSource } from './bundle.ts';
import { damaged } from './refusal.ts';
import { readHeader, readPayload, record } from './records.ts';
import { fingerprintOf, signStatement, verifyStatement } from './signature.ts';
import { STATEMENT_LIMIT, readStatement, sha256, writeStatement } from './statement.ts';
import type { Statement } from './statement.ts';

const SIGNATURE_LIMIT = 4096;

export interface Judgement {
  /** The signature must be there and by this key. */
  readonly verify?: KeyObject | undefined;
  /** May refuse the manifest by throwing; nothing was taken then. */
  readonly accept?: ((manifest: Buffer) => Promise<void>) | undefined;
}

export interface Head {
  readonly manifest: Buffer;
  readonly statement: Statement;
  readonly signed: boolean;
  /** Fingerprint of the key that the signature was verified with, null when none was asked for. */
  readonly verifiedBy: string | null;
}

export const writeHead = (source: BundleSource, key: KeyObject | undefined): Buffer => {
  const statement = writeStatement(source.manifest, source.objects);
  const signature = key === undefined ? [] : [record('SIGN', signStatement(statement, key))];
  return Buffer.concat([record('STMT', statement), ...signature, record('MANI', source.manifest)]);
};

/** Reads the head and judges it: first the signature, then that the manifest is the stated one, then what `accept` says. */
export const readHead = async (reader: ByteReader, { verify, accept }: Judgement): Promise<Head> => {
  const text = await readPayload(reader, await readHeader(reader), 'STMT', STATEMENT_LIMIT);
  let header = await readHeader(reader);
  let signature: Buffer | undefined;
  if (header.tag === 'SIGN') {
    signature = await readPayload(reader, header, 'SIGN', SIGNATURE_LIMIT);
    header = await readHeader(reader);
  }
  if (verify !== undefined) verifyStatement(text, signature, verify);
  const statement = readStatement(text);
  const manifest = await readPayload(reader, header, 'MANI', MANIFEST_LIMIT);
  if (sha256(manifest) !== statement.manifest.digest) throw damaged('its manifest is not the stated one');
  await accept?.(manifest);
  const verifiedBy = verify === undefined ? null : fingerprintOf(verify);
  return { manifest, statement, signed: signature !== undefined, verifiedBy };
};
