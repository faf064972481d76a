/** Snapshots on disk: where everything is, how a snapshot is completed, verified and removed; memory in layers, files in trees. */
export {
  compareFingerprints,
  Fingerprint,
  machineFingerprint,
  mappedFiles,
  refuseDifferences,
} from './fingerprint/index.ts';
export type { Difference, FileToIdentify, Machine, MappedFile } from './fingerprint/index.ts';
export { corrupt, orNoSpace } from './failures.ts';
export { Layout } from './layout.ts';
export type { ApplicationPaths, TemplatePaths } from './layout.ts';
export { Manifest, SNAPSHOT_FORMAT } from './manifest.ts';
export type { LayerEntry, ManifestFacts, Reachable } from './manifest.ts';
export { makeAnonymous } from './memory/anonymous.ts';
export type { Filling, ProcessFilling } from './memory/anonymous.ts';
export { compareMemory } from './memory/compare.ts';
export type { ImagesAt, MemoryDifference } from './memory/compare.ts';
export { packLayer, readInto } from './memory/layer.ts';
export { MEMORY_DIRECTORY, layerFiles, layerName, layerPath, placeRuns } from './memory/memory.ts';
export type { SavedRun } from './memory/memory.ts';
export { contentsOf, runsWithin } from './memory/pieces.ts';
export { separateLayers } from './memory/separate.ts';
export { ObjectStore } from './objects.ts';
export { refold } from './refold.ts';
export { chooseVictims } from './retention.ts';
export type { RetainedSnapshot, RetentionPolicy } from './retention.ts';
export { SnapshotStore } from './store.ts';
export type { Known, StoreOptions, Written } from './store.ts';
export type { Entry } from './tree/index.ts';
export { blankTree, isWhiteout } from './tree/index.ts';
export { captureTree, diffTrees, materialiseTree, readTree, treeObjects, verifyTree } from './tree/index.ts';
export type { Root, Tree, TreeIndex } from './tree/index.ts';
