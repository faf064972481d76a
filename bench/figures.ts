/** The form in which every figure is reported. */
import { median, quantile } from './statistics.ts';

export interface Figure {
  readonly name: string;
  readonly unit: string;
  readonly samples: number;
  readonly median: number;
  /** The bad end of the samples: what 99 of 100 are better than. */
  readonly p99: number;
  /**
   * What it was measured beside, in turns, and the ratio to it: the median of the turns' ratios. The machine is as busy for both of a
   * turn, so this is far steadier than the ratio of the medians.
   */
  readonly comparedWith?: string;
  readonly ratio?: number;
  /** What is promised: of the ratio where there is one, else of the median; and whether it was kept. */
  readonly limit?: number;
  readonly met?: boolean;
}

export interface Samples {
  readonly name: string;
  readonly unit: string;
  readonly values: readonly number[];
  /** More is better, so that a limit is the least allowed. */
  readonly moreIsBetter?: boolean;
}

const round = (value: number): number => Number(value.toPrecision(4));

const promise = (
  samples: Samples,
  value: number,
  limit: number | undefined,
): Pick<Figure, 'limit' | 'met'> =>
  limit === undefined ? {} : { limit, met: samples.moreIsBetter ? value >= limit : value <= limit };

const measured = (samples: Samples): Pick<Figure, 'name' | 'unit' | 'samples' | 'median' | 'p99'> => ({
  name: samples.name,
  unit: samples.unit,
  samples: samples.values.length,
  median: round(median(samples.values)),
  p99: round(quantile(samples.values, samples.moreIsBetter ? 0.01 : 0.99)),
});

/** A figure by itself; `limit` is a promise about its median, in its unit. */
export const figure = (samples: Samples, limit?: number): Figure => ({
  ...measured(samples),
  ...promise(samples, median(samples.values), limit),
});

/** A figure beside another that has as many samples, one a turn; `limit` is a promise about the ratio. */
export const compared = (samples: Samples, other: Samples, limit?: number): Figure => {
  const ratio = median(samples.values.map((value, turn) => value / (other.values[turn] ?? NaN)));
  return {
    ...measured(samples),
    comparedWith: other.name,
    ratio: round(ratio),
    ...promise(samples, ratio, limit),
  };
};

/** Figures of the steps of a sleep or wake, in their order. */
export const stepFigures = (
  name: string,
  timings: readonly (readonly { step: string; ms: number }[])[],
): Figure[] => {
  const steps = Map.groupBy(timings.flat(), (one) => one.step);
  return [...steps].map(([step, each]) =>
    figure({ name: `${name}, step ${step}`, unit: 'ms', values: each.map((one) => one.ms) }),
  );
};
