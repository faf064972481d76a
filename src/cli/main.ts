/** The command line: parses, asks the daemon through its typed client, prints. Everything a verb needs is loaded by that verb. */
import { main } from './program.ts';

process.exitCode = await main(process.argv.slice(2));
