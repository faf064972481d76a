/**
 * Identity inside memory. When a template is made, `findPersonality` looks through the memory of its processes for environment strings,
 * cached host names, random generators and generation cells, and `prepareImages` makes the images fit for clones. Of each clone,
 * when all of its processes are there and none runs, `pokesFor` says what must be other bytes, and `applyPokes` writes them.
 *
 * Nothing is written but where the structure around it proves what it is. What a program has copied elsewhere stays as it was.
 */
export { findPersonality } from './find.ts';
export { applyPokes, pokesFor } from './pokes.ts';
export type { CloneFacts } from './pokes.ts';
export { prepareImages } from './prepare.ts';
export type { Wiped } from './prepare.ts';
export type { FindJob, KnownString, Missing, Personality, Poke, ProcessPersonality, Spare } from './types.ts';
