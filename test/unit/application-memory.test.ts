/** How memory comes back: every wish, with and without a layer, on every kind of machine. */
import { expect, it } from 'vitest';
import { chooseMemory } from '../../src/application/memory.ts';

const LAYERED = [false, true];
const YES_NO = [false, true];

/** Mode, or `MEMORY_MODE` for a refusal; by wish, layer, guard and userfaultfd. */
const expected = (choice: string, layered: boolean, guard: boolean, lazy: boolean): string => {
  if (choice === 'copy' || !layered) return 'copy';
  if (choice === 'layer') return guard ? 'layer' : 'MEMORY_MODE';
  if (choice === 'lazy') return lazy ? 'lazy' : 'MEMORY_MODE';
  if (guard) return 'layer';
  return lazy ? 'lazy' : 'copy';
};

const cases = (['auto', 'layer', 'lazy', 'copy'] as const).flatMap((choice) =>
  LAYERED.flatMap((layered) =>
    YES_NO.flatMap((guard) =>
      YES_NO.map((lazy) => [choice, layered, guard, lazy, expected(choice, layered, guard, lazy)] as const),
    ),
  ),
);

const outcomeOf = (...asked: Parameters<typeof chooseMemory>): string => {
  try {
    return chooseMemory(...asked).mode;
  } catch (error) {
    return (error as { code: string }).code;
  }
};

it.each(cases)('%s, layered: %s, guard: %s, userfaultfd: %s: %s', (choice, layered, guard, lazy, outcome) => {
  expect(outcomeOf(choice, layered, { guard, lazy })).toBe(outcome);
});

it('says why', () => {
  const both = { guard: true, lazy: true };
  expect(chooseMemory('auto', true, both).reason).toContain('the kernel guards it');
  expect(chooseMemory('auto', true, { guard: false, lazy: true }).reason).toContain('no guard for layers');
  expect(chooseMemory('auto', true, { guard: false, lazy: false }).reason).toContain('no userfaultfd');
  expect(chooseMemory('layer', false, both).reason).toContain('not in a layer yet');
  expect(chooseMemory('copy', true, both).reason).toBe('it was asked for');
  expect(() => chooseMemory('layer', true, { guard: false, lazy: true })).toThrow('no guard for layers');
  expect(() => chooseMemory('lazy', true, { guard: true, lazy: false })).toThrow('/dev/userfaultfd');
});
