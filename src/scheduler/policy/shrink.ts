/** Fewer instances: who goes when a service has been calm, and what becomes of whoever sleeps as a spare. */
import type { ServiceNote } from './memory.ts';
import type { Round } from './round.ts';
import type { Crew } from './scale.ts';
import type { Application } from './view.ts';

export const shrink = (round: Round, crew: Crew, note: ServiceNote): ServiceNote => {
  if (tidy(round, crew)) return note;
  if (note.draining) return drained(round, crew, note, note.draining);
  if (!isCalm(round, crew, note)) return note.calmSince === null ? note : { ...note, calmSince: null };
  const since = note.calmSince ?? round.now;
  const calmAt = Math.max(since, note.outAt ?? since) + note.calmFor;
  if (round.now < calmAt) {
    round.soon(calmAt);
    return note.calmSince === null ? { ...note, calmSince: since } : note;
  }
  const app = leaver(round, crew);
  if (!app) return note;
  round.tell('drain', app, 'calm', {
    calm: round.now - since,
    rate: crew.service.load?.rate ?? 0,
    cpu: crew.cpu,
    awake: crew.serving.length,
  });
  round.soon(round.now + DRAIN_MS);
  // The next may follow after a quarter of that time.
  const calmSince = round.now - 0.75 * note.calmFor;
  return { ...note, calmSince, outAt: null, draining: { aid: app.aid, since: round.now } };
};

/** Gateways learn within this time that an instance gets no new requests. */
const DRAIN_MS = 1000;

/** Whether those that stay would have little enough to do without one. */
const isCalm = (round: Round, crew: Crew, note: ServiceNote): boolean => {
  const { tuning } = round;
  const { load, min } = crew.service;
  const left = crew.serving.length - 1;
  if (left < Math.max(1, min) || crew.coming > 0) return false;
  if (crew.cpu > ((tuning.cpuAfter * crew.cpuLimit) / crew.serving.length) * left) return false;
  if (!load) return true;
  if (note.fullRate !== null && load.rate > tuning.rateAfter * note.fullRate * left) return false;
  const slow =
    load.responseMs !== null && load.responseMs > ((note.usual ?? Infinity) * tuning.overTimes) / 2;
  return !slow || load.rate < tuning.overRate;
};

/** Those that were made go first, then those with the fewest requests, then the youngest. */
const leaver = (round: Round, { serving }: Crew): Application | undefined =>
  serving
    .filter((app) => round.isFree(app) && (app.made || app.sleepAfter !== null))
    .toSorted(
      (a, b) => Number(b.made) - Number(a.made) || a.requestsOpen - b.requestsOpen || b.since - a.since,
    )[0];

/** What becomes of the one that gets no new requests. */
const drained = (
  round: Round,
  crew: Crew,
  note: ServiceNote,
  { aid, since }: NonNullable<ServiceNote['draining']>,
): ServiceNote => {
  const over = { ...note, draining: null };
  const app = round.view.applications.get(aid);
  if (!app || !round.isAwake(app) || app.state === 'waking' || app.state === 'starting') return over;
  if (crew.serving.length < Math.max(1, crew.service.min)) {
    const because = { awake: crew.serving.length, min: Math.max(1, crew.service.min) };
    round.tell('undrain', app, 'min-instances', because);
    return over;
  }
  const draining = round.now - since;
  const done = app.requestsOpen === 0 && draining >= DRAIN_MS;
  if ((!done && draining < round.tuning.drainLongest) || !round.isFree(app)) {
    round.soon(round.now + DRAIN_MS);
    return note;
  }
  const spares = crew.asleep.filter(({ made }) => made).length;
  if (done && app.made && spares >= round.tuning.spares)
    round.decide('retire', app, 'spare-enough', { spares, kept: round.tuning.spares });
  else if (done) round.decide('sleep', app, 'drained', { draining }, { sleptAt: round.now });
  else
    round.decide('sleep', app, 'drained-long', { draining, open: app.requestsOpen }, { sleptAt: round.now });
  return { ...over, inAt: round.now };
};

/** Removes a sleeping instance that was made and is not needed, one at a look; tells whether it has. */
const tidy = (round: Round, crew: Crew): boolean => {
  const { service, asleep, total } = crew;
  if (total <= Math.max(1, service.min) || asleep.length === 0) return false;
  const isAsked = (aid: string): boolean => round.view.waiting.some((wait) => wait.aid === aid);
  const useless = asleep.filter(
    (app) => app.made && app.requestsOpen === 0 && !round.note(app.aid)?.owed && !isAsked(app.aid),
  );
  const app = useless.at(-1);
  if (!app) return false;
  if (total > service.max) {
    round.decide('retire', app, 'over-max', { instances: total, max: service.max });
    return true;
  }
  const { spares, calmFor } = round.tuning;
  if (useless.length <= spares || round.now - app.since < calmFor) return false;
  round.decide('retire', app, 'spare-enough', { spares: useless.length, kept: spares });
  return true;
};
