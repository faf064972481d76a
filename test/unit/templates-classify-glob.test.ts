/** Patterns of names in rules. */
import { performance } from 'node:perf_hooks';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { compilePattern } from '../../src/templates/classify/glob.ts';

const matches = (pattern: string, name: string): boolean => compilePattern(pattern)(name);

/** What they mean, for names of the characters below. */
const expected = (pattern: string): RegExp =>
  new RegExp(
    `^${pattern.replaceAll(/\*\*|\*|\?|[^]/gu, (piece) => {
      if (piece === '**') return '[^]*';
      if (piece === '*') return '[^/]*';
      if (piece === '?') return '[^/]';
      return piece === '.' ? String.raw`\.` : piece;
    })}$`,
    'u',
  );

describe('a pattern', () => {
  it.each([
    ['/srv/a', '/srv/a', true],
    ['/srv/a', '/srv/ab', false],
    ['/srv/*', '/srv/.hidden', true],
    ['/srv/*', '/srv/a/b', false],
    ['/srv/**', '/srv/a/b', true],
    ['/srv/**', '/srv', false],
    ['**.so', '/usr/lib/a.so', true],
    ['tcp *', 'tcp 80', true],
    ['tcp ?0', 'tcp 80', true],
    ['/srv?a', '/srv/a', false],
    ['web (1001)', 'web (1001)', true],
    ['[ab]', 'a', false],
    ['?', '😀', true],
    ['**', '', true],
    ['', '', true],
    ['', 'a', false],
  ])('%j and the name %j: %s', (pattern, name, answer) => {
    expect(matches(pattern, name)).toBe(answer);
  });

  it('means the same as its regular expression', () => {
    const pattern = fc.string({ unit: fc.constantFrom('a', 'b', '/', '*', '?', '.'), maxLength: 8 });
    const name = fc.string({ unit: fc.constantFrom('a', 'b', '/', '.'), maxLength: 10 });
    fc.assert(
      fc.property(pattern, name, (one, other) => {
        expect(matches(one, other)).toBe(expected(one).test(other));
      }),
      { numRuns: 2000 },
    );
  });

  it('takes no longer when it is made to', () => {
    const begun = performance.now();
    expect(matches(`${'**a'.repeat(40)}b`, 'a'.repeat(4000))).toBe(false);
    expect(performance.now() - begun).toBeLessThan(1000);
  });
});
