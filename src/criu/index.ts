/** The driver of CRIU, the kernel-level engine: its record, its messages, its images. It knows nothing of applications. */
export { defaultEngineDir, engineFile, loadEngine } from './engine.ts';
export type { Engine } from './engine.ts';
export { decodeImage, encodeImage } from './images/codec.ts';
export type { Image, ImageEntry } from './images/codec.ts';
export { listImages } from './images/directory.ts';
export { closeConnections, dropFilter, forgetSizes, leavePipeSizes, moveAddress } from './images/edits.ts';
export { ImageError } from './images/error.ts';
export { IMAGE_KINDS, imageKind } from './images/kinds.ts';
export type { ImageKind } from './images/kinds.ts';
export { addMapping, processSpace } from './images/mappings.ts';
export type { MemoryMapping } from './images/mappings.ts';
export { PAGES, readPagemap, writePagemap } from './images/pagemap.ts';
export type { PageRun, Pagemap } from './images/pagemap.ts';
export { movePaths } from './images/paths.ts';
export { describeImages } from './images/summary.ts';
export type {
  DumpSummary,
  MappingKind,
  SavedDescriptor,
  SavedMapping,
  SavedProcess,
} from './images/summary.ts';
export type { SavedObject } from './images/objects.ts';
export type { SavedSocket } from './images/sockets.ts';
export { dropGuard } from './images/fresh.ts';
export { dropUserNamespace } from './images/prepare.ts';
export { logTail, reasonIn } from './log.ts';
export { GHOST_LIMIT, dumpOptions, restoreOptions } from './options.ts';
export { Schema } from './schema.ts';
export type { Fields } from './schema.ts';
export { EngineSession } from './session.ts';
export type { EngineChannel, OnStage, Stages } from './session.ts';
