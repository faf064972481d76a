/**
 * Memory that runs short though nobody waits for it: below the reserve because what runs has grown, or by the kernel's account of who
 * waited for memory; and the room that is kept ready, so that the next wakes need not wait for a sleep.
 */
import type { Code, Figures } from './decision.ts';
import { byWorth, inMemory, putToSleep } from './room.ts';
import type { Round } from './round.ts';
import type { Application } from './view.ts';

export const relieve = (round: Round): void => {
  const { machine } = round.view;
  const { stock, tuning } = round;
  const available = machine.availableBytes + stock.leaving;
  const pressure = machine.pressure;
  if (available < machine.reserveBytes) {
    // Past half of the reserve the kernel would soon end somebody: sleep loses nothing, whoever it is.
    const anybody = available < machine.reserveBytes / 2;
    const figures = { available: machine.availableBytes, reserve: machine.reserveBytes };
    free(round, machine.reserveBytes + round.ready - available, 'memory-short', figures, (app) =>
      anybody ? true : app.sleepAfter !== null && !round.isAtWork(app),
    );
  } else if (
    pressure &&
    (pressure.memorySome >= tuning.memorySomeHigh || pressure.memoryFull >= tuning.memoryFullHigh)
  ) {
    underPressure(round, { some: pressure.memorySome, full: pressure.memoryFull });
  } else if (stock.free + stock.coming < round.ready) keepReady(round);
};

/** One at a time, for what it brings shows only later. */
const underPressure = (round: Round, figures: Figures): void => {
  const { tuning, stock } = round;
  if (round.now - round.pressureAt < tuning.pressureWait || stock.sleeping > 0) return;
  round.pressureAt = round.now;
  round.soon(round.now + tuning.pressureWait);
  free(round, 1, 'memory-pressure', figures, (app) => app.sleepAfter !== null && !round.isAtWork(app));
};

/** With those who have been idle for a while, and have no higher priority than any sleeper: they lose a part of their idle time. */
const keepReady = (round: Round): void => {
  const { tuning, stock } = round;
  const sleepers = asleep(round);
  const wanted = Math.min(round.ready, sleepers.bytes);
  const missing = wanted - stock.free - stock.coming;
  const figures = { wanted, free: stock.free };
  if (missing <= 0 || stock.sleeping >= round.view.machine.cores) return;
  const enough = Math.max(tuning.idleEnough, tuning.stayShortest);
  free(round, missing, 'memory-ready', figures, (app) => {
    if (app.sleepAfter === null || app.priority > sleepers.priority || round.isAtWork(app)) return false;
    const wait = enough - round.idle(app);
    if (wait > 0) round.soon(round.now + wait);
    return wait <= 0;
  });
};

/** What all sleepers would take, and the highest of their priorities. */
const asleep = (round: Round): { readonly bytes: number; readonly priority: number } => {
  let [bytes, priority] = [0, -Infinity];
  for (const app of round.view.applications.values()) {
    if (app.state !== 'asleep' || !round.isFree(app)) continue;
    bytes += app.expectedBytes;
    priority = Math.max(priority, app.priority);
  }
  return { bytes, priority };
};

/** Puts to sleep whoever may go, in order of worth, until so many bytes are coming. */
const free = (
  round: Round,
  bytes: number,
  code: Code,
  figures: Figures,
  may: (app: Application) => boolean,
): void => {
  let missing = bytes;
  for (const app of byWorth(round, inMemory(round).filter(may))) {
    if (missing <= 0) return;
    if (round.isNeeded(app)) continue;
    putToSleep(round, app, code, figures);
    missing -= round.frees(app);
  }
};
