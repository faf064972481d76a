/** The value below which the part `q` (0 to 1) of the samples lies: the nearest of them, never a mean of two. */
export const quantile = (samples: readonly number[], q: number): number => {
  const sorted = samples.toSorted((a, b) => a - b);
  const value = sorted[Math.max(0, Math.ceil(q * sorted.length) - 1)];
  if (value === undefined) throw new Error('there are no samples');
  return value;
};

export const median = (samples: readonly number[]): number => quantile(samples, 0.5);
