export type { Client } from './client.ts';
export { explain } from './config/reasons.ts';
export * from './paths.ts';
export * from './read-config.ts';
export * from './routes.ts';
export * from './schemas.ts';
export * from './version.ts';
export * from './volume.ts';
