export type * from './registry.ts';
export { contains, formatAddress, overlap, parseAddress, parseNetwork } from './cidr.ts';
export type { Network } from './cidr.ts';
export { openSqliteRegistry } from './sqlite/registry.ts';
