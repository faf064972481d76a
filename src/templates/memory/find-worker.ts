/** The thread that looks through the memory of one template, given as its data, and posts what it found. */
import { parentPort, workerData } from 'node:worker_threads';
import { findIn } from './find-job.ts';
import type { FindJob } from './types.ts';

parentPort?.postMessage(findIn(workerData as FindJob));
