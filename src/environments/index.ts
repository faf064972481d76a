/** Environments: where applications run. Making them, their roots and cgroups, the pool of ready ones, and ending them. */
export { Cgroups } from './cgroups.ts';
export type { CgroupUsage } from './cgroups.ts';
export { DUMP_DESCRIPTORS, startOutsideEngine } from './engine-outside.ts';
export { Environment } from './environment.ts';
export type { Workshop } from './environment.ts';
export { Pool } from './pool.ts';
export { INSIDE, insidePath, makeApplicationFiles, makeRoot } from './root.ts';
export type { ApplicationFiles, RootPlan } from './root.ts';
