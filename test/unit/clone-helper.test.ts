/** The helper for Node programs: what it says outside AppShot, and what it does when its cell is written as in a clone. */
import { execPath } from 'node:process';
import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, it } from 'vitest';
import { generation, identity, isClone, onClone, reseed, reseedOnClone } from 'appshot/clone';
import { run } from '../../src/exec/index.ts';

interface Poked {
  readonly found: number;
  readonly before: { readonly generation: number; readonly isClone: boolean; readonly identity: unknown };
  readonly sameUuids: number;
  readonly sameIntegers: number;
  readonly after: { readonly generation: number; readonly isClone: boolean };
  readonly clone: { readonly uuids: number; readonly integers: number };
  readonly told: readonly unknown[];
}

describe('outside AppShot', () => {
  it('nothing is a clone, and nobody is told of one', () => {
    const end = onClone(() => expect.unreachable());
    expect({ identity: identity(), generation: generation(), isClone: isClone() }).toEqual({
      identity: null,
      generation: 0,
      isClone: false,
    });
    end();
  });

  it('its generator is even, and begins anew when it is told to', () => {
    const own = Math.random;
    try {
      reseedOnClone();
      expect(Math.random).not.toBe(own);
      const replaced = Math.random;
      reseedOnClone();
      expect(Math.random).toBe(replaced);
      reseed();
      const many = Array.from({ length: 100_000 }, () => Math.random());
      expect(many.every((number) => number >= 0 && number < 1)).toBe(true);
      expect(new Set(many).size).toBe(many.length);
      const mean = many.reduce((sum, number) => sum + number, 0) / many.length;
      const variance = many.reduce((sum, number) => sum + (number - mean) ** 2, 0) / many.length;
      // Five standard deviations of either.
      expect(Math.abs(mean - 1 / 2)).toBeLessThan(0.005);
      expect(Math.abs(variance - 1 / 12)).toBeLessThan(0.0015);
    } finally {
      Math.random = own;
    }
  });
});

describe('in a clone', () => {
  let poked: Poked;

  beforeAll(async () => {
    const fixture = fileURLToPath(new URL('../fixtures/poked.js', import.meta.url));
    poked = JSON.parse((await run(execPath, [fixture])).stdout) as Poked;
  });

  it('the cell is found once, aligned, and says the generation at once', () => {
    expect(poked.found).toBe(1);
    expect(poked.before).toEqual({ identity: null, generation: 0, isClone: false });
    expect(poked.after).toEqual({ generation: 7, isClone: true });
  });

  it('what Node had in stock is not given out', () => {
    // Otherwise it would be: that is what comes next.
    expect(poked).toMatchObject({ sameUuids: 10, sameIntegers: 10 });
    expect(poked.clone).toEqual({ uuids: 0, integers: 0 });
  });

  it('who listens is told once, even when a random number was the first to notice', () => {
    expect(poked.told).toEqual([{ now: null, generation: 7 }]);
  });
});
