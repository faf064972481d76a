/** The thread that settles one snapshot, given as its data, and posts what came of it. */
import { setPriority } from 'node:os';
import { parentPort, workerData } from 'node:worker_threads';
import { settle } from './settle-job.ts';
import type { SettleJob } from './settle-job.ts';

/** Whoever wakes meanwhile goes first. On Linux this is the thread's own. */
const NICE = 10;

setPriority(NICE);
parentPort?.postMessage(settle(workerData as SettleJob));
