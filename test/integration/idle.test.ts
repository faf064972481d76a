/** An idle application goes to sleep by itself, a busy one does not, and for it no time passes asleep, except on the wall. */
import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { launch } from '../support/application.ts';
import type { Application } from '../support/application.ts';
import { eventually } from '../support/eventually.ts';
import { createLab } from '../support/lab.ts';
import type { Lab } from '../support/lab.ts';
import { node } from '../support/programs/node.ts';
import { getJson, PYTHON } from '../support/programs/program.ts';

const IDLE_MS = 1000;
/** How long the application is left asleep: longer than its timer, which must not notice. */
const ASLEEP_MS = 5000;
const TIMER_MS = 4000;

interface Clock {
  readonly monotonicMs: number;
  readonly wallMs: number;
  readonly timer: { readonly setAt: number; readonly firedAt: number | null } | null;
}

let lab: Lab;

beforeAll(async () => {
  lab = await createLab();
  await lab.daemon();
});

afterAll(async () => {
  await lab[Symbol.asyncDispose]();
});

const asleep = (app: Application): Promise<void> =>
  eventually(async () => expect(await app.state()).toBe('asleep'), 15_000, 100);

const clock = (app: Application): Promise<Clock> =>
  getJson({ lab, address: app.address }, node.port, '/clock');

test('sleeps when idle, wakes on a request, and its timers and monotonic clock do not see the time between', async () => {
  const app = await launch(lab, 'idle', node.launch, ['--idle', `${IDLE_MS / 1000}s`]);
  const at = { lab, address: app.address };
  await node.ready(at);
  await getJson(at, node.port, `/timer?ms=${TIMER_MS}`);
  const before = await clock(app);
  const asked = performance.now();
  await asleep(app);
  expect(performance.now() - asked).toBeGreaterThan(IDLE_MS * 0.9);
  // Time itself is under test here.
  await pause(ASLEEP_MS);
  const after = await clock(app);
  expect(after.timer?.firedAt).toBeNull();
  const [wall, monotonic] = [after.wallMs - before.wallMs, after.monotonicMs - before.monotonicMs];
  expect(wall).toBeGreaterThan(ASLEEP_MS + IDLE_MS * 0.9);
  expect(monotonic).toBeGreaterThanOrEqual(IDLE_MS * 0.9);
  expect(monotonic).toBeLessThan(wall - ASLEEP_MS + 100);
  expect(Math.abs(after.wallMs - Date.now())).toBeLessThan(200);
  const fired = await eventually(async () => {
    const { timer } = await clock(app);
    expect(timer?.firedAt).not.toBeNull();
    return timer;
  });
  const ran = (fired?.firedAt ?? 0) - (fired?.setAt ?? 0);
  expect(ran).toBeGreaterThan(TIMER_MS - 2);
  expect(ran).toBeLessThan(TIMER_MS + 1000);
  await app.remove();
});

test('does not sleep while it is asked or while it computes', async () => {
  const asked = await launch(lab, 'asked', node.launch, ['--idle', '1s']);
  const computing = await launch(lab, 'computing', { command: [PYTHON, '-c', 'while True: pass'] }, [
    '--idle',
    '1s',
  ]);
  await node.ready({ lab, address: asked.address });
  const first = (await asked.inspect()).since;
  for (const until = performance.now() + 3 * IDLE_MS; performance.now() < until; await pause(IDLE_MS / 4)) {
    await getJson({ lab, address: asked.address }, node.port, '/state');
  }
  expect((await asked.inspect()).since).toBe(first);
  expect(await computing.state()).toBe('running');
  await computing.remove();
  await asleep(asked);
  await asked.remove();
});
