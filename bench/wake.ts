/**
 * From the first packet to the last byte of the answer: a sleeping Node server that holds some memory, beside plain CRIU's restore
 * of the same program and beside a cold start. The three take turns, so that the machine's noise meets each of them.
 */
import type { SleepResult, WakeResult } from '../src/api/index.ts';
import { kept, sleep, wakeByPacket } from './bench.ts';
import type { Bench, Part } from './bench.ts';
import { coldStart } from './cold-start.ts';
import { compared, figure, stepFigures } from './figures.ts';
import type { Figure, Samples } from './figures.ts';
import { PORT, QUESTION, nodeServer, startServer } from './node-server.ts';
import { startPlain } from './plain-criu.ts';
import { ask } from './request.ts';

/** What is promised of a wake, beside plain CRIU's restore alone, by the megabytes that the application holds. */
const WAKE_LIMITS: Partial<Record<number, number>> = { 0: 0.25, 400: 0.05 };

interface Run {
  readonly slept: SleepResult[];
  readonly woken: WakeResult[];
  readonly wake: number[];
  readonly dump: number[];
  readonly restore: number[];
  readonly restored: number[];
  readonly cold: number[];
}

const takeTurns = async (bench: Bench, megabytes: number): Promise<Run> => {
  const { lab } = bench;
  const name = `counter-${megabytes}`;
  const command = nodeServer(megabytes);
  const { app, to } = await startServer(bench, name, megabytes);
  const plain = await startPlain(lab, name, command, PORT, QUESTION);
  const run: Run = { slept: [], woken: [], wake: [], dump: [], restore: [], restored: [], cold: [] };
  for (let sample = 0; sample < bench.samples; sample++) {
    const slept = await sleep(bench, app);
    await kept(bench, app);
    // The others' turns come while AppShot's application sleeps: by its wake the daemon has an environment ready again.
    run.dump.push(await plain.dump());
    run.cold.push(await coldStart(lab, { command, port: PORT, question: QUESTION, listening: /listens/ }));
    const restore = await plain.restore();
    run.restore.push(restore);
    run.restored.push(restore + (await ask(plain.to, QUESTION)));
    const { ms, wake } = await wakeByPacket(bench, slept, to, QUESTION);
    run.wake.push(ms);
    run.slept.push(slept);
    run.woken.push(wake);
  }
  await plain.close();
  await app.remove();
  return run;
};

const figuresOf = (run: Run, megabytes: number): Figure[] => {
  const samples = (name: string, values: readonly number[]): Samples => ({
    name: `${name}, ${megabytes} MB`,
    unit: 'ms',
    values,
  });
  const wake = samples('wake, first packet to whole response', run.wake);
  const restore = samples('plain CRIU, restore alone', run.restore);
  const restored = samples('plain CRIU, restore to whole response', run.restored);
  const cold = samples('cold start to whole response', run.cold);
  const dump = samples('plain CRIU, dump', run.dump);
  const ms = (each: readonly { ms: number }[]): number[] => each.map((one) => one.ms);
  const frozen = run.slept.map((one) => one.frozenMs);
  return [
    compared(wake, restore, WAKE_LIMITS[megabytes]),
    compared(wake, restored),
    compared(wake, cold),
    ...[restore, restored, cold].map((one) => figure(one)),
    figure(samples('wake, in the daemon', ms(run.woken))),
    ...stepFigures(
      wakeSteps(megabytes),
      run.woken.map((one) => one.timings),
    ),
    compared(samples('sleep', ms(run.slept)), dump),
    figure(samples('sleep, of it frozen', frozen)),
    figure(dump),
    ...stepFigures(
      `sleep, ${megabytes} MB`,
      run.slept.map((one) => one.timings),
    ),
  ];
};

const wakeSteps = (megabytes: number): string => `wake, ${megabytes} MB`;

export const wakeOf = (megabytes: number): Part => ({
  name: `wake-${megabytes}`,
  title: `A Node server that holds ${megabytes} MB: wake and sleep, beside plain CRIU and a cold start`,
  measure: async (bench) => figuresOf(await takeTurns(bench, megabytes), megabytes),
});
