/** Figures as lines for a terminal. */
import type { Figure } from './figures.ts';
import { table } from './table.ts';

export const number = (value: number): string =>
  value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(2);

const percent = (ratio: number): string => `${(ratio * 100).toFixed(ratio < 2 ? 1 : 0)} %`;

const verdict = ({ met, limit, ratio }: Figure): string => {
  if (met === undefined || limit === undefined) return '';
  return `${met ? 'met' : 'NOT MET'}: promised ${ratio === undefined ? number(limit) : percent(limit)}`;
};

const row = (one: Figure): string[] => [
  one.name,
  number(one.median),
  number(one.p99),
  one.unit,
  String(one.samples),
  one.ratio === undefined ? '' : percent(one.ratio),
  [one.comparedWith && `of: ${one.comparedWith}`, verdict(one)].filter(Boolean).join('; '),
];

export const lines = (figures: readonly Figure[]): string[] =>
  table('lrrlrrl', [['', 'median', 'p99', '', 'n', 'ratio', ''], ...figures.map(row)]);
