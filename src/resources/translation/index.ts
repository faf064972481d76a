/** Virtual and system IDs: tables made from the kernel's own view and the registry, at the moment of the question. */
export type { Registered } from './facts.ts';
export { tablesOf } from './live.ts';
export { Places, placesOf } from './places.ts';
export { readKernelView } from './read.ts';
export { toSystem, toVirtual } from './resolve.ts';
export { savedTablesOf } from './saved.ts';
export type { TranslationTables } from './table.ts';
