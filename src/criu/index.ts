/** The driver of CRIU, the kernel-level engine: its record, its messages, its images. It knows nothing of applications. */
export { defaultEngineDir, engineFile, loadEngine } from './engine.ts';
export type { Engine } from './engine.ts';
export { dropUserNamespace } from './images/prepare.ts';
export { logTail, reasonIn } from './log.ts';
export { GHOST_LIMIT, dumpOptions, restoreOptions } from './options.ts';
export { Schema } from './schema.ts';
export { EngineSession } from './session.ts';
export type { EngineChannel, OnStage } from './session.ts';
