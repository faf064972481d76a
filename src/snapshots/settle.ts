/** Settling in the background: one snapshot at a time, in a thread of its own that ends with it. */
import { extname } from 'node:path';
import { Worker } from 'node:worker_threads';
import type { SettleJob, Settled } from './settle-job.ts';

/** Resolves to what came of it; rejects with the file system's error, or whatever ended the thread. */
export const runSettling = (job: SettleJob): Promise<Settled> => {
  const { promise, resolve, reject } = Promise.withResolvers<Settled>();
  const program = new URL(`./settle-worker${extname(import.meta.url)}`, import.meta.url);
  const worker = new Worker(program, { workerData: job });
  worker.once('message', (settled: Settled) => resolve(settled));
  worker.once('error', reject);
  worker.once('exit', (code) => reject(new Error(`the settling thread ended with ${code}`)));
  return promise;
};
