import { describe, expect, it } from 'vitest';
import { MB } from '../support/simulation/application.ts';
import { appOf, Looks } from '../support/simulation/view.ts';

const LONG_AWAKE = 1_000_000;
const NOW = LONG_AWAKE;
/** Nothing is free beyond the reserve. */
const full = { availableBytes: 50 * MB };
const sleeper = (name: string, priority = 50, megabytes = 100) =>
  appOf(name, { state: 'asleep', priority, expectedBytes: megabytes * MB });
/** Awake for long, never idle for long enough to sleep by itself. */
const awake = (name: string, priority = 50, facts = {}) =>
  appOf(name, { priority, sleepAfter: 10 * LONG_AWAKE, ...facts });

describe('a wake that is asked for', () => {
  it('begins when there is room', () => {
    const [admit] = new Looks().at(NOW, { applications: [sleeper('a')], waiting: ['a'] });
    expect(admit).toMatchObject({ kind: 'admit', aid: 'a', code: 'room-found' });
    expect(admit?.reason).toBe(
      'it waited 0ms; needs 100 MiB of 850 MiB free; 0 wakes of at most 3 are under way',
    );
  });

  it('is one of as many as the cores do well at once, by priority and then by age', () => {
    const applications = ['a', 'b', 'c', 'd', 'e'].map((name) => sleeper(name, name === 'e' ? 90 : 50));
    const waiting = applications.map(({ aid }, at) => ({ aid, since: NOW - at }));
    expect(new Looks().words(NOW, { applications, waiting })).toEqual([
      'admit e room-found',
      'admit d room-found',
      'admit c room-found',
      'hold b wakes-busy',
      'hold a wakes-busy',
    ]);
  });

  it('is told once why it waits', () => {
    const looks = new Looks();
    const facts = {
      applications: [sleeper('a'), ...['b', 'c', 'd'].map((name) => appOf(name, { state: 'waking' }))],
      waiting: ['a'],
    };
    expect(looks.words(NOW, facts)).toEqual(['hold a wakes-busy']);
    expect(looks.words(NOW + 10, facts)).toEqual([]);
  });

  it('does not count on memory that wakes under way have not taken yet', () => {
    const applications = [
      sleeper('a'),
      appOf('b', { state: 'waking', memoryBytes: 20 * MB }),
      appOf('c', { since: NOW - 1000, activeAt: NOW, memoryBytes: 30 * MB }),
    ];
    const machine = { availableBytes: 299 * MB };
    expect(new Looks().words(NOW, { applications, waiting: ['a'], machine })).toContain('sleep c room');
    expect(
      new Looks().words(NOW, { applications, waiting: ['a'], machine: { availableBytes: 300 * MB } }),
    ).toEqual(['admit a room-found']);
  });
});

describe('room for a wake', () => {
  it('is made by the lowest priority, and by its least recently active', () => {
    const applications = [
      sleeper('wanted', 60),
      awake('middle', 50, { activeAt: 1 }),
      awake('recent', 10, { activeAt: NOW - 5000 }),
      awake('older', 10, { activeAt: NOW - 6000 }),
    ];
    const [sleep, hold] = new Looks().at(NOW, { applications, waiting: ['wanted'], machine: full });
    expect(sleep).toMatchObject({ kind: 'sleep', aid: 'older', code: 'room' });
    expect(sleep?.reason).toBe(
      'wanted (priority 60) needs 100 MiB and 0 B are free; this one has priority 10, was last active 6s ago and frees 100 MiB',
    );
    expect(hold).toMatchObject({ kind: 'hold', aid: 'wanted', code: 'making-room' });
  });

  it('is enough and not more', () => {
    const applications = [
      sleeper('wanted', 60, 250),
      awake('small', 10, { memoryBytes: 50 * MB }),
      awake('big', 20, { memoryBytes: 230 * MB }),
      awake('huge', 30, { memoryBytes: 900 * MB }),
    ];
    const facts = { applications, waiting: ['wanted'] };
    expect(new Looks().words(NOW, { ...facts, machine: full })).toEqual([
      'sleep small room',
      'sleep big room',
      'hold wanted making-room',
    ]);
    // With a little free the small one has nothing to add.
    expect(new Looks().words(NOW, { ...facts, machine: { availableBytes: 75 * MB } })).toEqual([
      'sleep big room',
      'hold wanted making-room',
    ]);
  });

  it('is not taken twice while sleeps are under way, and given when they have ended', () => {
    const looks = new Looks();
    const wanted = sleeper('wanted');
    const first = { applications: [wanted, awake('b'), awake('c')], waiting: ['wanted'], machine: full };
    expect(looks.words(NOW, first)).toEqual(['sleep b room', 'hold wanted making-room']);
    const falling = appOf('b', { state: 'sleeping' });
    const second = { ...first, applications: [wanted, falling, awake('c')] };
    expect(looks.words(NOW + 100, second)).toEqual([]);
    const third = {
      ...first,
      applications: [wanted, sleeper('b'), awake('c')],
      machine: { availableBytes: 150 * MB },
    };
    expect(looks.words(NOW + 200, third)).toEqual(['admit wanted room-found']);
  });

  it.each([
    ['of a higher priority', awake('b', 51), 'no-room'],
    ['of the same, at work', awake('b', 50, { requestsOpen: 1 }), 'waits-its-turn'],
    ['of the same, computing', awake('b', 50, { cpu: 0.5 }), 'waits-its-turn'],
    ['of the same, just woken', awake('b', 50, { since: NOW - 100 }), 'waits-its-turn'],
    ['of the same, without an idle time', awake('b', 50, { sleepAfter: null }), 'no-room'],
    ['that is to be left alone', awake('b', 10, { blockedUntil: NOW + 1 }), 'no-room'],
  ])('is not made by one %s', (_, other, code) => {
    const applications = [sleeper('wanted'), other];
    expect(new Looks().words(NOW, { applications, waiting: ['wanted'], machine: full })).toEqual([
      `hold wanted ${code}`,
    ]);
  });

  it('is made by one of lower priority even at work, and that one is owed a wake', () => {
    const looks = new Looks();
    const batch = awake('batch', 10, { requestsOpen: 2 });
    const wanted = sleeper('wanted');
    expect(looks.words(NOW, { applications: [wanted, batch], waiting: ['wanted'], machine: full })).toContain(
      'sleep batch room',
    );
    const asleep = sleeper('batch', 10);
    const later = { applications: [appOf('wanted', { since: NOW, activeAt: NOW }), asleep] };
    expect(looks.words(NOW + 1000, { ...later, machine: full })).toEqual([]);
    expect(looks.words(NOW + 6000, { ...later, machine: full })).toEqual([]);
    expect(looks.words(NOW + 6000, later)).toEqual(['wake batch owed']);
  });

  it('that cannot be is not kept from others', () => {
    const applications = [sleeper('giant', 90, 5000), sleeper('small', 10)];
    const waiting = ['giant', 'small'];
    expect(new Looks().words(NOW, { applications, waiting })).toEqual([
      'hold giant no-room',
      'admit small room-found',
    ]);
  });

  it('that will be is kept from those behind', () => {
    const applications = [
      sleeper('first', 90, 500),
      sleeper('second', 10),
      awake('b', 50, { memoryBytes: 400 * MB }),
    ];
    const machine = { availableBytes: 250 * MB };
    const found = new Looks().words(NOW, { applications, waiting: ['first', 'second'], machine });
    expect(found).toEqual(['sleep b room', 'hold first making-room', 'hold second making-room']);
  });

  it('that depends on others at work is kept from those behind for five seconds, not for ever', () => {
    const applications = [
      sleeper('first', 50, 500),
      sleeper('second'),
      awake('b', 50, { memoryBytes: 400 * MB, requestsOpen: 1 }),
    ];
    const after = (waited: number): string[] =>
      new Looks().words(NOW, {
        applications,
        waiting: [{ aid: 'first', since: NOW - waited }, 'second'],
        machine: { availableBytes: 250 * MB },
      });
    expect(after(4999)).toEqual(['hold first waits-its-turn', 'hold second waits-its-turn']);
    expect(after(5000)).toEqual(['hold first waits-its-turn', 'admit second room-found']);
  });
});

describe('memory that is short without anybody waiting', () => {
  it('is freed up to the reserve by whoever is not at work', () => {
    const applications = [
      awake('busy', 10, { cpu: 1 }),
      awake('idle', 50),
      awake('always', 10, { sleepAfter: null }),
    ];
    const facts = { applications, machine: { availableBytes: 40 * MB } };
    const [sleep, ...more] = new Looks().at(NOW, facts);
    expect(sleep).toMatchObject({ kind: 'sleep', aid: 'idle', code: 'memory-short' });
    expect(sleep?.reason).toContain('40 MiB of memory are available, less than the reserve of 50 MiB');
    expect(more).toEqual([]);
  });

  it('is freed by anybody of the lowest priority when the kernel would soon end somebody', () => {
    const applications = [awake('busy', 10, { cpu: 1 }), awake('idle', 50)];
    const facts = { applications, machine: { availableBytes: 20 * MB } };
    expect(new Looks().words(NOW, facts)).toEqual(['sleep busy memory-short']);
  });

  it('is believed when the kernel says so, one sleep at a time', () => {
    const pressure = { memorySome: 30, memoryFull: 1, cpuSome: 0 };
    const applications = [awake('a'), awake('b')];
    const looks = new Looks();
    const facts = { applications, machine: { pressure } };
    expect(looks.words(NOW, facts)).toEqual(['sleep a memory-pressure']);
    expect(looks.words(NOW + 1000, facts)).toEqual([]);
    const slept = { ...facts, applications: [sleeper('a'), awake('b')] };
    expect(looks.words(NOW + 3000, slept)).toEqual(['sleep b memory-pressure']);
  });

  describe('is kept ready for the next wakes', () => {
    const slept = (priority: number) => [
      awake('a', 50, { since: NOW, activeAt: NOW + 900 }),
      awake('b', 50, { activeAt: NOW + 500 }),
      awake('c', 50, { activeAt: NOW }),
      sleeper('d', priority),
    ];
    const machine = { availableBytes: 140 * MB };
    const woken = (): Looks => {
      const looks = new Looks();
      looks.at(NOW, { applications: [sleeper('a')], waiting: ['a'] });
      return looks;
    };

    it('by whoever has been idle for a while', () => {
      const [sleep, ...more] = woken().at(NOW + 1000, { applications: slept(50), machine });
      expect(sleep).toMatchObject({ kind: 'sleep', aid: 'c', code: 'memory-ready' });
      expect(sleep?.reason).toBe(
        'room for 100 MiB is kept ready for the next wakes and 90 MiB are free; idle for 1s, frees 100 MiB',
      );
      expect(more).toEqual([]);
    });

    it('not for sleepers of lower priority, nor long after the last wake, nor without any sleeper', () => {
      expect(woken().words(NOW + 1000, { applications: slept(49), machine })).toEqual([]);
      expect(woken().words(NOW + 60_001, { applications: slept(50), machine })).toEqual([]);
      expect(woken().words(NOW + 1000, { applications: slept(50).slice(0, 3), machine })).toEqual([]);
    });
  });
});
