/**
 * Room: who may begin to be awake, and who gives way for it.
 *
 * Wishes are granted in the order of priority, then of kind (whoever is waited for before what the policy wants by itself), then of
 * age. A wish that finds no room is given some by putting others to sleep: lowest priority first, among equals those that are not at
 * work, then whoever was active longest ago; enough and not more.
 */
import type { Code, Figures } from './decision.ts';
import { isInMemory } from './round.ts';
import type { Round } from './round.ts';
import type { Application } from './view.ts';

export interface Wish {
  /** `admit` for a request that waits. */
  readonly kind: 'admit' | 'wake' | 'clone';
  /** Who is to be awake; null for `clone`. */
  readonly app: Application | null;
  readonly service: string;
  readonly priority: number;
  readonly since: number;
  readonly bytes: number;
  readonly code: Code;
  readonly because: Figures;
  /** Whether others may be put to sleep for it. */
  readonly pushes: boolean;
  /** Called when it has been granted. */
  readonly granted?: () => void;
}

const RANKS = { admit: 0, wake: 1, clone: 2 } as const;

const inOrder = (a: Wish, b: Wish): number =>
  b.priority - a.priority || RANKS[a.kind] - RANKS[b.kind] || a.since - b.since;

/** How many wakes the processors do well at once: more would only make all of them slow. */
const slotsOf = (round: Round): number => round.view.machine.cores + 1;

export const grant = (round: Round, wishes: Wish[]): void => {
  for (const wish of wishes.toSorted(inOrder)) {
    const { stock } = round;
    // Somebody may be wished for twice: by a request, and for the minimum of its service.
    if (wish.app && !round.isFree(wish.app)) continue;
    if (wish.bytes > stock.free) makeRoom(round, wish);
    else if (stock.waking >= slotsOf(round)) {
      hold(round, wish, 'wakes-busy', { waking: stock.waking, cores: round.view.machine.cores });
      // What it will need is not given to those behind it.
      if (wish.pushes) stock.free -= wish.bytes;
    } else allow(round, wish);
  }
};

const allow = (round: Round, wish: Wish): void => {
  const { stock } = round;
  const figures: Figures =
    wish.kind === 'admit'
      ? {
          waited: round.now - wish.since,
          needs: wish.bytes,
          free: stock.free,
          waking: stock.waking,
          slots: slotsOf(round),
        }
      : { ...wish.because, free: stock.free };
  if (wish.app) round.decide(wish.kind, wish.app, wish.code, figures, { held: null });
  else round.tell(wish.kind, { aid: null, service: wish.service }, wish.code, figures);
  stock.free -= wish.bytes;
  stock.waking += 1;
  if (wish.kind === 'admit') {
    round.usualBytes = round.usualBytes === 0 ? wish.bytes : round.usualBytes * 0.8 + wish.bytes * 0.2;
    round.admittedAt = round.now;
  }
  wish.granted?.();
};

/** Tells why a request waits: at once, and later when the reason is another. */
const hold = (round: Round, wish: Wish, code: Code, because: Figures): void => {
  if (wish.kind !== 'admit' || !wish.app) return;
  const held = round.note(wish.app.aid)?.held;
  if (held && (held.code === code || round.now - held.at < round.tuning.holdAgain)) return;
  round.tell('hold', wish.app, code, because);
  round.remember(wish.app.aid, { held: { code, at: round.now } });
};

/** In one look; those behind that many have to wait anyway. */
const MOST_SEARCHES = 8;

const makeRoom = (round: Round, wish: Wish): void => {
  const { stock } = round;
  const figures = { needs: wish.bytes, free: stock.free };
  const missing = wish.bytes - stock.free - stock.coming;
  if (missing > 0 && (!wish.pushes || round.searches >= MOST_SEARCHES)) return;
  if (missing <= 0 || stock.sleeping >= slotsOf(round)) {
    hold(round, wish, 'making-room', { ...figures, coming: stock.coming });
    stock.free -= wish.bytes;
    return;
  }
  round.searches += 1;
  const { chosen, later } = victims(round, wish, missing);
  for (const app of chosen) giveWay(round, app, wish, figures.free);
  if (chosen.length > 0) hold(round, wish, 'making-room', { ...figures, coming: stock.coming });
  else if (later === null) hold(round, wish, 'no-room', figures);
  else hold(round, wish, 'waits-its-turn', { ...figures, stay: later });
  // Room is not set aside for what cannot be, nor for ever.
  const aside = chosen.length > 0 || (later !== null && round.now - wish.since < round.tuning.setAside);
  if (aside) stock.free -= wish.bytes;
};

/** Milliseconds that an application stays awake before an equal takes its room, so that changing places leaves time for work. */
const stay = (round: Round, app: Application): number => {
  const { tuning, stock } = round;
  const each = (app.wakeTook ?? tuning.wakeUsual) + (app.sleepTook ?? tuning.sleepUsual);
  const enough = (stock.awake * each) / (tuning.switchingShare * round.view.machine.cores);
  return Math.min(tuning.stayLongest, Math.max(tuning.stayShortest, enough));
};

/** Lowest priority first, those at work after those that are not, then whoever was active longest ago. */
export const byWorth = (round: Round, apps: Iterable<Application>): Application[] => {
  const worth = Array.from(apps, (app) => ({ app, work: Number(round.isAtWork(app)) }));
  worth.sort((a, b) => a.app.priority - b.app.priority || a.work - b.work || a.app.activeAt - b.app.activeAt);
  return worth.map(({ app }) => app);
};

/** Those in memory about which something may be decided. */
export const inMemory = (round: Round): Application[] =>
  [...round.view.applications.values()].filter(
    (app) => isInMemory(app) && app.memoryBytes > 0 && round.isFree(app),
  );

/** When it can give way to this wish: milliseconds from now, infinite when nobody can tell, or null when it never does. */
const givesWayIn = (round: Round, app: Application, wish: Wish): number | null => {
  const awake = round.now - app.since;
  if (app.priority < wish.priority) return Math.max(0, round.tuning.stayLower - awake);
  if (app.priority > wish.priority || app.sleepAfter === null) return null;
  return round.isAtWork(app) ? Infinity : Math.max(0, stay(round, app) - awake);
};

interface Victims {
  /** Enough to make the room, or none. */
  readonly chosen: readonly Application[];
  /** When none: the longest stay to be waited for, or null when even that would not do. */
  readonly later: number | null;
}

const victims = (round: Round, wish: Wish, missing: number): Victims => {
  const now: Application[] = [];
  let found = 0;
  let hoped = 0;
  let longest = 0;
  for (const app of byWorth(round, inMemory(round))) {
    // An instance that goes for another of its own service would help nobody.
    if (app.service === wish.service) continue;
    const wait = givesWayIn(round, app, wish);
    if (wait === null || round.isNeeded(app, now)) continue;
    if (wait > 0) {
      round.soon(round.now + wait);
      hoped += round.frees(app);
      longest = Math.max(longest, stay(round, app));
      continue;
    }
    now.push(app);
    found += round.frees(app);
    if (found >= missing) break;
  }
  if (found >= missing) return { chosen: spared(round, now, found - missing), later: null };
  return { chosen: [], later: found + hoped >= missing ? longest : null };
};

/** Without those that the others make superfluous, the most valuable first. */
const spared = (round: Round, apps: readonly Application[], over: number): Application[] => {
  let left = over;
  return apps
    .toReversed()
    .filter((app) => {
      const frees = round.frees(app);
      if (frees > left) return true;
      left -= frees;
      return false;
    })
    .toReversed();
};

const giveWay = (round: Round, app: Application, wish: Wish, free: number): void =>
  putToSleep(round, app, 'room', {
    for: wish.app?.name ?? wish.service,
    forPriority: wish.priority,
    needs: wish.bytes,
    free,
  });

/** Puts one to sleep because its memory is needed. Whoever was at work, or has no idle time, is owed another wake. */
export const putToSleep = (round: Round, app: Application, code: Code, because: Figures): void => {
  const { tuning } = round;
  const before = round.note(app.aid)?.owedBefore ?? 0;
  const delay = Math.min(tuning.owedLongest, Math.max(tuning.owedShortest, before * 2));
  const owed = round.isAtWork(app) || app.sleepAfter === null;
  round.decide(
    'sleep',
    app,
    code,
    { ...because, priority: app.priority, idle: round.idle(app), frees: round.frees(app) },
    {
      sleptAt: round.now,
      sleptIdle: null,
      cpuFrozenAt: null,
      ...(owed ? { owed: delay, owedBefore: delay } : {}),
    },
  );
  round.leaves(app);
};
