/** Figures as the tables of docs/benchmarks.md. */
import type { Figure } from './figures.ts';
import { number } from './report.ts';

const percent = (ratio: number): string => `${(ratio * 100).toFixed(ratio < 0.1 ? 1 : 0)} %`;

const promise = ({ met, limit, ratio }: Figure): string => {
  if (met === undefined || limit === undefined) return '';
  return `${met ? 'met' : '**not met**'} (${ratio === undefined ? number(limit) : percent(limit)})`;
};

const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`;

const row = (one: Figure): string =>
  line([
    one.name,
    ...[number(one.median), number(one.p99), one.unit, String(one.samples)],
    one.ratio === undefined ? '' : percent(one.ratio),
    one.comparedWith ?? '',
    promise(one),
  ]);

const HEAD = ['Figure', 'Median', 'p99', 'Unit', 'Samples', 'Ratio', 'to', 'Promise'];
const RULE = ['---', '---:', '---:', '---', '---:', '---:', '---', '---'];

/** `wake, 50 MB, step verify`: what, how much, which step. */
const STEP = /^(\w+), (\d+) MB, step (\w+)$/;

const stepTable = (figures: readonly Figure[], operation: string): string[] => {
  const cells = figures.flatMap(({ name, median }) => {
    const [, what, size = '', step = ''] = STEP.exec(name) ?? [];
    return what === operation ? [{ size, step, median }] : [];
  });
  if (cells.length === 0) return [];
  const sizes = [...new Set(cells.map(({ size }) => size))];
  const at = (step: string, size: string): string => {
    const found = cells.find((one) => one.step === step && one.size === size);
    return found ? number(found.median) : '';
  };
  return [
    line([`Step of a ${operation}, median in ms`, ...sizes.map((size) => `${size} MB`)]),
    line(['---', ...sizes.map(() => '---:')]),
    ...[...new Set(cells.map(({ step }) => step))].map((step) =>
      line([step, ...sizes.map((size) => at(step, size))]),
    ),
    '',
  ];
};

export const markdown = (figures: readonly Figure[]): string =>
  [
    ...[line(HEAD), line(RULE), ...figures.filter(({ name }) => !STEP.test(name)).map(row), ''],
    ...['wake', 'sleep'].flatMap((operation) => stepTable(figures, operation)),
  ].join('\n');
