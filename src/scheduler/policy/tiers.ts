/**
 * The tiers of idleness: running, frozen in memory, asleep.
 *
 * An idle time is a wager on when the next request comes. Whoever is woken again sooner than it had been idle has lost it: had the idle
 * time been twice as long, it would have stayed awake. So each loss doubles the application's idle time, eight times at most, and a
 * sleep that lasts four times as long as the idleness before it halves it again. When memory is short the stretch melts away.
 */
import type { Note } from './memory.ts';
import type { Round } from './round.ts';
import type { Application } from './view.ts';

/** What became of the decisions about an application since the last look. */
export const settle = (round: Round, app: Application, note: Note): Note => {
  let known = note;
  if (known.pending !== null) {
    const { pending } = known;
    const shows = app.state !== pending.state || app.since > pending.at;
    if (!shows && round.now < pending.at + round.tuning.decisionLost) {
      round.soon(pending.at + round.tuning.decisionLost);
      return known;
    }
    // A sleep that was lost was no wager.
    known = round.remember(app.aid, shows ? { pending: null } : { pending: null, sleptAt: null, owed: null });
  }
  if (known.sleptAt !== null && app.state !== 'asleep' && app.state !== 'sleeping')
    known = woken(round, app, known, known.sleptAt);
  if (known.held !== null && app.state !== 'asleep') known = round.remember(app.aid, { held: null });
  if (known.cpuFrozenAt !== null && app.state === 'running')
    known = round.remember(app.aid, {
      cpuFrozenAt: null,
      cpuTurnUntil: Math.max(known.cpuTurnUntil, round.now + round.tuning.cpuFrozenShortest),
    });
  return outlived(round, app, known);
};

const woken = (round: Round, app: Application, note: Note, sleptAt: number): Note => {
  const asleep = round.now - sleptAt;
  const idle = note.sleptIdle;
  let { patience } = note;
  if (idle !== null && asleep < idle) patience = Math.min(round.tuning.longestPatience, patience * 2);
  if (idle !== null && asleep > 4 * idle) patience = Math.max(1, patience / 2);
  return round.remember(app.aid, { patience, sleptAt: null, sleptIdle: null, owed: null });
};

/** Forgets what no longer matters, so that an application that nothing happens to has no note. */
const outlived = (round: Round, app: Application, note: Note): Note => {
  if (note.cpuTurnUntil > 0 && note.cpuTurnUntil <= round.now)
    return round.remember(app.aid, { cpuTurnUntil: 0 });
  if (note.owedBefore > 0 && app.state === 'running' && round.now - app.since > 4 * note.owedBefore)
    return round.remember(app.aid, { owedBefore: 0 });
  return note;
};

/** How much of the stretch of idle times is left, 0 to 1: all of it while there is room for twice what is kept ready. */
export const ease = (round: Round): number => {
  const { availableBytes, reserveBytes } = round.view.machine;
  const over = availableBytes - reserveBytes - round.ready;
  if (over <= 0) return 0;
  return round.ready === 0 ? 1 : Math.min(1, over / round.ready);
};

const NO_LIMIT = Infinity;

/** Milliseconds of idleness after which it sleeps. */
const sleepLimit = (app: Application, note: Note | undefined, easing: number): number =>
  app.sleepAfter === null ? NO_LIMIT : app.sleepAfter * (1 + ((note?.patience ?? 1) - 1) * easing);

/**
 * Freezes and thaws an application in memory as its idleness asks, and tells whether it is due to sleep. Whoever is due is put to sleep by
 * `sleepIdle`, a few at a time.
 */
export const tier = (round: Round, app: Application, note: Note | undefined, easing: number): boolean => {
  if (app.requestsOpen > 0) {
    if (app.state === 'frozen')
      round.decide('thaw', app, 'requests', { open: app.requestsOpen }, { cpuFrozenAt: null });
    return false;
  }
  if (note && (note.cpuFrozenAt !== null || note.cpuTurnUntil > round.now)) return false;
  const idle = round.idle(app);
  const limit = sleepLimit(app, note, easing);
  if (idle >= limit) return true;
  if (limit !== NO_LIMIT) round.soon(round.now + limit - idle);
  if (app.freezeAfter === null || app.state === 'frozen' || app.freezeAfter >= limit) return false;
  if (idle < app.freezeAfter) round.soon(round.now + app.freezeAfter - idle);
  else round.decide('freeze', app, 'idle-freeze', { idle, limit: app.freezeAfter });
  return false;
};

/** Puts to sleep those that are due, whoever has been idle longest first; only one at a time while wakes need the processors. */
export const sleepIdle = (round: Round, due: Application[], easing: number): void => {
  const { stock } = round;
  const atOnce = stock.waking > 0 ? 1 : round.view.machine.cores;
  for (const app of due.toSorted((a, b) => a.activeAt - b.activeAt)) {
    if (!round.isFree(app)) continue;
    if (stock.sleeping >= atOnce) {
      round.soon(round.now + SLEEPS_BUSY_MS);
      return;
    }
    if (round.isNeeded(app)) continue;
    const note = round.note(app.aid);
    const idle = round.idle(app);
    const limit = sleepLimit(app, note, easing);
    round.decide(
      'sleep',
      app,
      'idle',
      { idle, limit, patience: limit / (app.sleepAfter ?? limit) },
      { sleptAt: round.now, sleptIdle: idle },
    );
    round.leaves(app);
  }
};

/** When to look again while as many sleep as may at once. */
const SLEEPS_BUSY_MS = 250;
