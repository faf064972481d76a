/** What an application holds, and what would keep it from being saved: read from the kernel, never asked of the application. */
export { blockers } from './blockers.ts';
export type { ApplicationProcesses } from './facts.ts';
export { holdings } from './holdings.ts';
export { networkUse } from './network-use.ts';
export type { NetworkUse } from './network-use.ts';
export { unescapeName } from './proc-text.ts';
export { listProcesses } from './processes.ts';
export type { ResourceInput } from './read-application.ts';
export {
  Places,
  placesOf,
  readKernelView,
  savedTablesOf,
  tablesOf,
  toSystem,
  toVirtual,
} from './translation/index.ts';
export type { Registered, TranslationTables } from './translation/index.ts';
