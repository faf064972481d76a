/**
 * The one door to other programs: the only room that imports node:child_process.
 *
 * Nothing here goes through a shell; arguments are arrays, so a name with spaces or quotes in it stays one argument.
 * `run` waits for a tool to end and returns what it printed; `start` hands back a program that goes on running.
 */
export { run } from './run.ts';
export type { RunOptions, RunResult } from './run.ts';
export { start } from './start.ts';
export type { Exit, StartOptions, Started, Stdio } from './start.ts';
