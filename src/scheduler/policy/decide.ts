/**
 * The application scheduler's policy: from facts to decisions. Pure: no clock, no I/O, the same view and memory give the same
 * decisions.
 *
 *     memory, view -> one pass over the applications -> wishes -> room for them -> relief -> sleeps -> processors -> decisions, memory
 *
 * The caller collects a view at intervals, at every wake that is asked for, and whenever an application has reached a state; carries out
 * the decisions in their order; and hands the memory back with the next view.
 */
import type { Decision } from './decision.ts';
import type { Memory } from './memory.ts';
import { shareProcessors } from './processors.ts';
import { relieve } from './relief.ts';
import { grant } from './room.ts';
import type { Wish } from './room.ts';
import { Round } from './round.ts';
import { scale } from './scale.ts';
import { ease, settle, sleepIdle, tier } from './tiers.ts';
import { TUNING } from './tuning.ts';
import type { Tuning } from './tuning.ts';
import type { Application, View } from './view.ts';

export interface Outcome {
  readonly decisions: readonly Decision[];
  readonly memory: Memory;
  /** Milliseconds after which time alone may lead to another decision, 20 to 60,000. */
  readonly next: number;
}

export const decide = (before: Memory, view: View, tuning: Tuning = TUNING): Outcome => {
  const round = new Round(before, view, tuning);
  const wishes: Wish[] = [];
  const easing = ease(round);
  const due = survey(round, easing, wishes);
  for (const wait of view.waiting) {
    const app = view.applications.get(wait.aid);
    if (app?.state === 'asleep' && round.isFree(app)) wishes.push(request(app, wait.since));
  }
  for (const service of view.services.values()) scale(round, service, wishes);
  if (wishes.length > 0) grant(round, wishes);
  relieve(round);
  if (due.length > 0) sleepIdle(round, due, easing);
  shareProcessors(round);
  return { decisions: round.decisions, memory: round.memory, next: round.next };
};

/** Counts what is promised, freezes who is idle, and finds who is due to sleep and who is owed a wake. */
const survey = (round: Round, easing: number, wishes: Wish[]): Application[] => {
  const due: Application[] = [];
  const { stock, now } = round;
  const remembers = round.before.notes.size > 0;
  for (const app of round.view.applications.values()) {
    let note = remembers ? round.note(app.aid) : undefined;
    if (note) {
      round.known += 1;
      note = settle(round, app, note);
      if (note.cpuFrozenAt !== null && app.state === 'frozen') round.chilled.push(app);
    }
    stock.cpu += app.cpu;
    const pending = note?.pending?.kind;
    if (app.state === 'asleep') {
      if (pending === 'wake' || pending === 'admit') promise(round, app);
      else if (note?.owed) owe(round, app, note.owed, note.sleptAt ?? now, wishes);
    } else if (app.state === 'waking' || app.state === 'starting') promise(round, app);
    else if (app.state === 'sleeping' || pending === 'sleep') {
      // It may be turned back, so what is promised to it stays so until it is asleep.
      stock.free -= round.promised(app);
      round.leaves(app);
    } else if (app.state !== 'other') {
      stock.awake += 1;
      stock.free -= round.promised(app);
      if (!pending && app.blockedUntil <= now && tier(round, app, note, easing)) due.push(app);
    }
  }
  return due;
};

const promise = (round: Round, app: Application): void => {
  round.stock.waking += 1;
  round.stock.free -= round.promised(app);
};

const request = (app: Application, since: number): Wish => ({
  kind: 'admit',
  app,
  service: app.service,
  priority: app.priority,
  since,
  bytes: app.expectedBytes,
  code: 'room-found',
  because: {},
  pushes: true,
});

/** Whoever was put to sleep at work comes back when there is room that nobody has to make, beyond what is kept ready. */
const owe = (round: Round, app: Application, delay: number, sleptAt: number, wishes: Wish[]): void => {
  const at = Math.max(sleptAt + delay, app.blockedUntil);
  if (round.now < at) {
    round.soon(at);
    return;
  }
  if (!round.isFree(app) || round.view.waiting.length > 0) return;
  if (app.expectedBytes + round.ready > round.stock.free) return;
  wishes.push({
    kind: 'wake',
    app,
    service: app.service,
    priority: app.priority,
    since: sleptAt,
    bytes: app.expectedBytes + round.ready,
    code: 'owed',
    because: { asleep: round.now - sleptAt },
    pushes: false,
  });
};
