/** Trees of files: captured, compared, made again. */
export { blankTree } from './blank.ts';
export { captureTree } from './capture.ts';
export type { CaptureOptions, Captured, Root, TreeIndex } from './capture.ts';
export { FileChanged } from './content.ts';
export { diffTrees } from './diff.ts';
export type { ChangedPart, Side, TreeChange } from './diff.ts';
export type { Tree } from './encode.ts';
export { isWhiteout } from './entry.ts';
export type { Entry } from './entry.ts';
export { materialiseTree } from './materialise.ts';
export type { MaterialiseOptions } from './materialise.ts';
export { readTree, treeObjects, verifyTree } from './read.ts';
