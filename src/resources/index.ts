/** What an application holds, and what would keep it from being saved: read from the kernel, never asked of the application. */
export { networkUse } from './network-use.ts';
export type { NetworkUse } from './network-use.ts';
