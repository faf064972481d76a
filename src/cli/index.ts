/** The command line: parses, asks the daemon through its typed client, prints. Everything a verb needs is loaded by that verb. */
export { main } from './program.ts';
