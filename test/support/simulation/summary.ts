/** A day in figures, as a table: what the scheduler did, how long requests waited, and how full memory was. */
import { MB } from './application.ts';
import type { Machine } from './machine.ts';

const quantile = (sorted: readonly number[], q: number): number =>
  sorted[Math.max(0, Math.ceil(q * sorted.length) - 1)] ?? 0;

export const spread = (samples: readonly number[]): { median: number; p99: number; max: number } => {
  const sorted = samples.toSorted((a, b) => a - b);
  return { median: quantile(sorted, 0.5), p99: quantile(sorted, 0.99), max: sorted.at(-1) ?? 0 };
};

const line = (samples: readonly number[]): string => {
  const { median, p99, max } = spread(samples);
  return `${median.toFixed(0)} / ${p99.toFixed(0)} / ${max.toFixed(0)} ms`;
};

export const summary = (machine: Machine): [string, string][] => {
  const codes = Map.groupBy(machine.decisions, ({ decision }) => `${decision.kind} ${decision.code}`);
  return [
    ['requests asked, answered', `${machine.asked}, ${machine.answers.length}`],
    ['response (median / p99 / max)', line(machine.answers)],
    ['waits for a wake', String(machine.waits.length)],
    ['wait, request to awake', line(machine.waits)],
    ['most memory', `${(machine.mostBytes / MB).toFixed(0)} MB`],
    ...Array.from(codes, ([code, all]): [string, string] => [code, String(all.length)]).toSorted((a, b) =>
      a[0] < b[0] ? -1 : 1,
    ),
    ['looks', String(machine.looks)],
    ['processor time of deciding', `${machine.decidingMs.toFixed(1)} ms`],
    ['faults', String(machine.faults.length)],
  ];
};
