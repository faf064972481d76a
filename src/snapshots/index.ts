/** Snapshots on disk: where everything is, how a snapshot is completed, verified and removed. */
export { Layout } from './layout.ts';
export type { ApplicationPaths } from './layout.ts';
export type { Manifest, Reachable } from './manifest.ts';
export { SnapshotStore } from './store.ts';
export type { Sealed } from './store.ts';
