/**
 * The statement: what a snapshot consists of, in one canonical text, so that a signature of it holds for a file and for a registry.
 * A first line, the manifest's digest and size, then the objects in the order of their digests, each once:
 *
 *     appshot statement 1
 *     manifest 9f86…0a08 1432
 *     file 2c26…66ae 3
 *     layer fcde…2db2 4096
 */
import { createHash } from 'node:crypto';
import { MANIFEST_LIMIT } from './bundle.ts';
import type { BundleObject, ObjectKind } from './bundle.ts';
import { damaged } from './refusal.ts';

/** Largest statement, in bytes: some 700,000 objects. */
export const STATEMENT_LIMIT = 64 << 20;

const FIRST = 'appshot statement 1';
const LINE = /^(file|layer|manifest) ([0-9a-f]{64}) (0|[1-9]\d{0,15})$/;

export interface Statement {
  readonly manifest: { readonly digest: string; readonly size: number };
  readonly objects: readonly BundleObject[];
}

export const sha256 = (data: Uint8Array): string => createHash('sha256').update(data).digest('hex');

const compare = (one: BundleObject, other: BundleObject): number =>
  one.digest < other.digest ? -1 : Number(one.digest > other.digest);

/** The statement's text. Throws a RangeError when the snapshot is too large to be described. */
export const writeStatement = (manifest: Buffer, objects: readonly BundleObject[]): Buffer => {
  const lines = objects.toSorted(compare).map(({ kind, digest, size }) => `${kind} ${digest} ${size}\n`);
  const first = `${FIRST}\nmanifest ${sha256(manifest)} ${manifest.length}\n`;
  const text = Buffer.from(first + lines.join(''));
  if (text.length > STATEMENT_LIMIT || manifest.length > MANIFEST_LIMIT)
    throw new RangeError(`a snapshot of ${objects.length} objects is too large to travel`);
  return text;
};

interface Line {
  kind: string;
  digest: string;
  size: number;
}

const parseLine = (line: string): Line => {
  const match = LINE.exec(line);
  const size = Number(match?.[3]);
  if (match === null || !Number.isSafeInteger(size)) throw damaged('its statement cannot be read');
  return { kind: match[1] as string, digest: match[2] as string, size };
};

/** Reads a statement; refuses every text that `writeStatement` would not have written. */
export const readStatement = (text: Buffer): Statement => {
  const [first, ...rest] = text.toString('latin1').split('\n');
  if (first !== FIRST || rest.pop() !== '') throw damaged('its statement cannot be read');
  const [manifest, ...objects] = rest.map(parseLine);
  if (manifest?.kind !== 'manifest' || manifest.size > MANIFEST_LIMIT)
    throw damaged('its statement cannot be read');
  for (const [index, { kind, digest }] of objects.entries())
    if (kind === 'manifest' || digest <= (objects[index - 1]?.digest ?? ''))
      throw damaged('its statement is not in order');
  return {
    manifest: { digest: manifest.digest, size: manifest.size },
    objects: objects.map((line) => ({ ...line, kind: line.kind as ObjectKind })),
  };
};
