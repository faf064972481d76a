/** Where a snapshot may wake: what it needs of a machine, and whether this one has it. */
export { compareFingerprints } from './compare.ts';
export type { Difference } from './compare.ts';
export { mappedFiles } from './files.ts';
export type { FileToIdentify } from './files.ts';
export { machineFingerprint } from './machine.ts';
export { refuseDifferences } from './refuse.ts';
export { Fingerprint, Machine, MappedFile } from './schema.ts';
