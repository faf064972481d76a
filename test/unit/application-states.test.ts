import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { STATES } from '../../src/api/index.ts';
import type { State } from '../../src/api/index.ts';
import { Reluctance } from '../../src/application/reluctance.ts';
import { plan } from '../../src/application/states.ts';
import type { Target } from '../../src/application/states.ts';

const TARGETS: readonly Target[] = ['running', 'frozen', 'asleep', 'stopped'];

/** Every passage there is: operation, the state it leads through, and its steps. */
const PASSAGES: Record<string, readonly [operation: string, through: State, steps: string]> = {
  'registered to running': ['run', 'starting', 'files environment root identity launch connect'],
  'running to asleep': ['sleep', 'sleeping', 'check settle disconnect save commit end keep'],
  'running to running': ['snapshot', 'snapshotting', 'check settle disconnect save record resume'],
  'running to frozen': ['freeze', 'freezing', 'settle disconnect freeze'],
  'frozen to running': ['thaw', 'thawing', 'thaw connect'],
  'frozen to stopped': ['stop', 'stopping', 'leave end'],
  'running to stopped': ['stop', 'stopping', 'terminate leave end'],
  'asleep to running': ['wake', 'waking', 'verify environment root identity restore connect'],
  'failed to stopped': ['stop', 'stopping', 'leave end'],
};

const ADVICE: Partial<Record<State, string>> = {
  asleep: 'wake it with `appshot wake`, or remove it with `appshot rm`',
  running: 'put it to sleep with `appshot sleep`, or stop it with `appshot stop`',
  frozen: 'thaw it with `appshot wake`',
  stopped: 'remove it with `appshot rm`, and run it anew',
  failed: '`appshot inspect` shows why; remove it with `appshot rm`, and run it anew',
};
const VERBS: Record<Target, string> = {
  running: 'wake',
  frozen: 'freeze',
  asleep: 'sleep',
  stopped: 'stop',
};

const all = STATES.flatMap((state) => TARGETS.map((target) => [state, target] as const));

describe('the way', () => {
  it.each(all.filter(([state, target]) => PASSAGES[`${state} to ${target}`]))(
    'from %s to %s is known',
    (state, target) => {
      const [operation, through, steps] = PASSAGES[`${state} to ${target}`] ?? [];
      expect(plan('web', state, target)).toEqual({
        operation,
        through,
        steps: steps?.split(' '),
        to: target,
      });
    },
  );

  it.each(all.filter(([state, target]) => !PASSAGES[`${state} to ${target}`]))(
    'from %s to %s is refused',
    (state, target) => {
      const refused: unknown = (() => {
        try {
          return plan('web', state, target);
        } catch (error) {
          return error;
        }
      })();
      expect(refused).toMatchObject({
        code: 'WRONG_STATE',
        message: `the application web is ${state}, so it cannot ${VERBS[target]}`,
        hint: ADVICE[state] ?? 'wait until that has ended',
      });
    },
  );
});

describe('reluctance', () => {
  const withClock = (): Reluctance => {
    vi.useFakeTimers({ toFake: ['performance'] });
    onTestFinished(() => void vi.useRealTimers());
    return new Reluctance();
  };
  /** How long a packet is refused, in ms. */
  const refusal = (reluctance: Reluctance, aid: string): number => {
    let ms = 0;
    for (; reluctance.refuses(aid); ms += 500) vi.advanceTimersByTime(500);
    return ms;
  };

  it('is none before a wake has failed', () => {
    expect(withClock().refuses('A')).toBe(false);
  });

  it('doubles with each failure, up to a minute', () => {
    const reluctance = withClock();
    const refusals = Array.from({ length: 9 }, () => {
      reluctance.grow('A');
      return refusal(reluctance, 'A');
    });
    expect(refusals).toEqual([500, 1000, 2000, 4000, 8000, 16_000, 32_000, 60_000, 60_000]);
  });

  it('is of one application, and gone once it has woken', () => {
    const reluctance = withClock();
    reluctance.grow('A');
    reluctance.grow('A');
    expect(reluctance.refuses('B')).toBe(false);
    reluctance.forget('A');
    expect(reluctance.refuses('A')).toBe(false);
    reluctance.grow('A');
    expect(refusal(reluctance, 'A')).toBe(500);
  });
});
