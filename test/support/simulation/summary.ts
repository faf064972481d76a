/** A day in figures, as a table: what the scheduler did, how long requests waited, and how full memory was. */
import { MB } from './application.ts';
import type { Machine } from './machine.ts';

const quantile = (sorted: readonly number[], q: number): number =>
  sorted[Math.max(0, Math.ceil(q * sorted.length) - 1)] ?? 0;

export const spread = (samples: readonly number[]): { median: number; p99: number; max: number } => {
  const sorted = samples.toSorted((a, b) => a - b);
  return { median: quantile(sorted, 0.5), p99: quantile(sorted, 0.99), max: sorted.at(-1) ?? 0 };
};
