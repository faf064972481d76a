/** Which manifests are read at all. */
import { expect, it } from 'vitest';
import { Manifest } from '../../src/snapshots/manifest.ts';
import { FACTS, ID } from './snapshots-place.ts';

const DIGEST = '0'.repeat(64);
const file = { name: 'images/core-1.img', size: 1, sha256: DIGEST };
const layer = { digest: DIGEST, size: 4096, bytes: 4096, packed: 4128, beside: 0 };
const manifest = {
  format: 2,
  id: ID,
  takenAt: '2026-01-02T03:04:05.678Z',
  ...FACTS,
  memory: { layers: [layer], copied: 0 },
  tree: DIGEST,
  files: [file],
};

it('keeps fields that this version does not know', () => {
  expect(Manifest.parse({ ...manifest, colour: 'blue' })).toEqual({ ...manifest, colour: 'blue' });
});

it.each([
  ['an earlier format', { format: 1 }],
  ['a later format', { format: 3 }],
  ['no format', { format: undefined }],
  ['another kind', { kind: 'dream' }],
  ['no chain', { application: { ...FACTS.application, spec: undefined } }],
  ['memory of an earlier format', { memory: { mode: 'copy' } }],
  ['a layer outside', { memory: { layers: [{ ...layer, digest: '../../etc/shadow' }], copied: 0 } }],
  ['a layer with less than no bytes', { memory: { layers: [{ ...layer, size: -1 }], copied: 0 } }],
  ['a hundred layers', { memory: { layers: Array.from({ length: 100 }, () => layer), copied: 0 } }],
  ['a clock that is no number', { clocks: { monotonic: '1e9', boottime: '1' } }],
  ['no process', { processes: { root: 0, last: 1, orphans: false } }],
  ['no fingerprint', { fingerprint: undefined }],
  ['a tree outside', { tree: '../../etc/shadow' }],
  ['a file outside', { files: [{ ...file, name: 'images/../../../etc/shadow' }] }],
  ['a file elsewhere', { files: [{ ...file, name: '/etc/shadow' }] }],
  ['a file with less than no bytes', { files: [{ ...file, size: -1 }] }],
  ['half a checksum', { files: [{ ...file, sha256: '0'.repeat(32) }] }],
])('is refused with %s', (_, change) => {
  expect(Manifest.safeParse(manifest).success).toBe(true);
  expect(Manifest.safeParse({ ...manifest, ...change }).success).toBe(false);
});
