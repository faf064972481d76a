/**
 * Processors that are short: whoever computes without being asked anything is frozen, lowest priority first, while somebody of higher
 * priority has requests. It keeps its memory, goes on when processors are free again, and has a turn even when they never are.
 */
import type { Round } from './round.ts';
import type { Application } from './view.ts';

/** Percent of the last ten seconds; without the kernel's account, whether applications use every core. */
const shortage = (round: Round): number => {
  const { pressure, cores } = round.view.machine;
  return pressure?.cpuSome ?? (round.stock.cpu >= cores * 0.95 ? 100 : 0);
};

/** Who is asked something, and has the highest priority. */
const mostAsked = (round: Round): Application | undefined => {
  let found: Application | undefined;
  const consider = (app: Application | undefined): void => {
    if (app && (!found || app.priority > found.priority)) found = app;
  };
  for (const app of round.view.applications.values()) if (app.requestsOpen > 0) consider(app);
  for (const { aid } of round.view.waiting) consider(round.view.applications.get(aid));
  return found;
};

const freezeOne = (round: Round, some: number): void => {
  const asked = mostAsked(round);
  if (!asked) return;
  const least = 5 * round.tuning.busyCores;
  const [app] = [...round.view.applications.values()]
    .filter(
      (one) =>
        one.state === 'running' &&
        one.requestsOpen === 0 &&
        round.now - one.askedAt >= round.tuning.unaskedFor &&
        one.cpu >= least &&
        one.priority < asked.priority &&
        round.isFree(one) &&
        (round.note(one.aid)?.cpuTurnUntil ?? 0) <= round.now &&
        !round.isNeeded(one),
    )
    .toSorted((a, b) => a.priority - b.priority || b.cpu - a.cpu);
  if (!app) return;
  round.cpuAt = round.now;
  round.soon(round.now + round.tuning.cpuWait);
  const figures = {
    some,
    cpu: app.cpu,
    priority: app.priority,
    for: asked.name,
    forPriority: asked.priority,
  };
  round.decide('freeze', app, 'cpu-short', figures, { cpuFrozenAt: round.now });
};

/** Lets one go on; its turn begins, in which it counts as at work though it has had no time to show that. */
const thaw = (round: Round, app: Application, since: number, some: number): boolean => {
  const { tuning, now } = round;
  const frozen = now - since;
  const rested = now - round.cpuAt >= tuning.cpuWait;
  const calm = some <= tuning.cpuLow && frozen >= tuning.cpuFrozenShortest && rested;
  if (!calm && frozen < tuning.cpuFrozenLongest) {
    round.soon(Math.max(now + 1000, since + tuning.cpuFrozenShortest));
    return false;
  }
  const turn = { cpuFrozenAt: null, cpuTurnUntil: now + (calm ? tuning.cpuFrozenShortest : tuning.cpuTurn) };
  if (calm) round.decide('thaw', app, 'cpu-calm', { some }, turn);
  else round.decide('thaw', app, 'cpu-turn', { frozen }, turn);
  return true;
};

export const shareProcessors = (round: Round): void => {
  const some = shortage(round);
  // Of the highest priority first.
  for (const app of round.chilled.toSorted((a, b) => b.priority - a.priority)) {
    const since = round.note(app.aid)?.cpuFrozenAt ?? null;
    if (since === null || !round.isFree(app) || !thaw(round, app, since, some)) continue;
    round.cpuAt = round.now;
    return;
  }
  if (some >= round.tuning.cpuHigh && round.now - round.cpuAt >= round.tuning.cpuWait) freezeOne(round, some);
};
