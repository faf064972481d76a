/** Addresses whose packets do not count: an application's `policy.ignore`, as nf_tables takes it. Pure. */
import { formatAddress, parseAddress } from '../registry/index.ts';

interface Range {
  readonly first: number;
  readonly last: number;
}

/** Host bits do not matter. */
const rangeOf = (cidr: string): Range => {
  const [address = '', length = '32'] = cidr.split('/');
  const size = 2 ** (32 - Number(length));
  const number = parseAddress(address) ?? 0;
  const first = number - (number % size);
  return { first, last: first + size - 1 };
};

/** As few as possible, in order: the kernel refuses ranges that overlap. */
const merged = (cidrs: readonly string[]): Range[] => {
  const ranges: { first: number; last: number }[] = [];
  for (const { first, last } of cidrs.map(rangeOf).toSorted((a, b) => a.first - b.first)) {
    const before = ranges.at(-1);
    if (before && first <= before.last + 1) before.last = Math.max(before.last, last);
    else ranges.push({ first, last });
  }
  return ranges;
};

/** What an element of a set of ranges holds for these networks (CIDR). */
export const rangesOf = (cidrs: readonly string[]): unknown[] =>
  merged(cidrs).map(({ first, last }) =>
    first === last ? formatAddress(first) : { range: [formatAddress(first), formatAddress(last)] },
  );

/** Whether an address is in one of these networks (CIDR). */
export const isIgnored = (cidrs: readonly string[], address: string): boolean => {
  const number = parseAddress(address) ?? -1;
  return cidrs.map(rangeOf).some(({ first, last }) => number >= first && number <= last);
};
