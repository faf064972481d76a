/** Environments: where applications run. Making them, their roots and cgroups, the pool of ready ones, and ending them. */
export { Cgroups } from './cgroups.ts';
export type { CgroupUsage } from './cgroups.ts';
export { DUMP_DESCRIPTORS, startOutsideEngine } from './engine-outside.ts';
export type { OutsideEngine } from './engine-outside.ts';
export { Environment, PASSED_DESCRIPTORS, SKELETON_NAME, startTimeOf } from './environment.ts';
export type { Workshop } from './environment.ts';
export { copyShared, giveFiles, sharedRedirects } from './given.ts';
export type { GivenPath } from './given.ts';
export { LayerImages, makeLayerImage } from './layer-image.ts';
export { Maker } from './maker.ts';
export { preparePlaces } from './places.ts';
export { Pool } from './pool.ts';
export { makeProbes, warmUp } from './probes.ts';
export { hideInLayer, insidePath, makeApplicationFiles, makeRoot, shownPaths } from './root.ts';
export type { LayersBeneath } from './root.ts';
export { fillMemory, fillerEnded } from './filler.ts';
export type { FillPlan, FillProcess, FillRange } from './filler.ts';
export { hasGuard } from './guard.ts';
