export * from './errors.ts';
export * from './files.ts';
export * from './ids.ts';
export * from './log.ts';
export * from './mutex.ts';
export * from './sanitise.ts';
export * from './units.ts';
