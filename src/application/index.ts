/** Applications: their states, the steps between them with their undo, and recovery after a crash. */
export { Applications } from './applications.ts';
export { findBlockers } from './check.ts';
export type { House } from './context.ts';
export { detailsOf, topRow } from './details.ts';
export type { Activity } from './details.ts';
export { execInside } from './exec.ts';
export { Faults } from './faults.ts';
export { History } from './history.ts';
export { Keeper } from './keeper.ts';
export type { KeeperOptions } from './keeper.ts';
export { openNames, resolveName } from './naming.ts';
export { NetworkList } from './network-list.ts';
export { recover } from './recovery.ts';
export { Roster } from './roster.ts';
export { knownAddress } from './sleepers.ts';
export { Templates } from './cloning/templates.ts';
export { Transfers } from './transfers.ts';
export { viewOf } from './views.ts';
