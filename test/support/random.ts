/** Random numbers that can be had again: their seed is printed, and taken from `APPSHOT_TEST_SEED` when that is set. */

export interface Random {
  readonly seed: number;
  /** A whole number from 0 up to, but not including, `below`. */
  integer(below: number): number;
  /** One of several. Throws RangeError when there is none. */
  pick<T>(choices: readonly T[]): T;
}

/** Mulberry32: small, and good enough to choose places by. */
const generator = (seed: number) => {
  let state = seed >>> 0;
  return (): number => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
};

/** Those of a seed, a whole number. */
export const randomOf = (seed: number): Random => {
  const next = generator(seed);
  const integer = (below: number): number => Math.floor(next() * below);
  return {
    seed,
    integer,
    pick: (choices) => {
      const choice = choices[integer(choices.length)];
      if (choice === undefined) throw new RangeError('there is nothing to choose from');
      return choice;
    },
  };
};

export const seededRandom = (what: string): Random => {
  const seed = Number(process.env['APPSHOT_TEST_SEED'] ?? Date.now() % 2 ** 31);
  process.stdout.write(`${what}: APPSHOT_TEST_SEED=${seed}\n`);
  return randomOf(seed);
};
