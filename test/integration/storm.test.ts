/**
 * A thousand requests of twenty clients while the application is put to sleep over and over: each gets its answer, none
 * is refused, reset, lost or served twice.
 */
import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { launch } from '../support/application.ts';
import { get, httpConnection } from '../support/http-client.ts';
import type { Answer } from '../support/http-client.ts';
import { createLab } from '../support/lab.ts';
import type { Lab } from '../support/lab.ts';
import { node } from '../support/programs/node.ts';
import { getJson } from '../support/programs/program.ts';

const CLIENTS = 20;
const ROUNDS = 10;
const REQUESTS_A_ROUND = 5;
/** A round's requests are spread over this time, so that some come before, some during and some after the sleep. */
const SPREAD_MS = 600;

let lab: Lab;

beforeAll(async () => {
  lab = await createLab();
  await lab.daemon();
});

afterAll(async () => {
  await lab[Symbol.asyncDispose]();
});

/** In every other round nobody asks in this time, so that the sleep completes and the next packets wake. */
const QUIET_MS = { from: 100, to: 500 } as const;

/** Different for each client and request, the same in each run. */
const offset = (round: number, client: number, request: number): number => {
  const time = ((client * 37 + request * 131) * 17) % SPREAD_MS;
  return round % 2 === 1 && time > QUIET_MS.from && time < QUIET_MS.to ? QUIET_MS.to : time;
};

/** Sends a client's requests of one round, each at its time. */
const burst = async (round: number, client: number, ask: () => Promise<Answer>): Promise<Answer[]> => {
  const times = Array.from({ length: REQUESTS_A_ROUND }, (_, request) =>
    offset(round, client, request),
  ).toSorted((a, b) => a - b);
  const began = performance.now();
  const answers: Answer[] = [];
  for (const time of times) {
    await pause(Math.max(0, time - (performance.now() - began)));
    answers.push(await ask());
  }
  return answers;
};

test('a thousand requests of twenty clients at the moments of sleeping and waking', async () => {
  const app = await launch(lab, 'storm', node.launch);
  const at = { lab, address: app.address };
  await node.ready(at);
  const to = lab.namespace.inside(app.address, node.port);
  // Every other client keeps one connection for the whole test.
  const kept = Array.from({ length: CLIENTS / 2 }, () => httpConnection(to));
  const askers = Array.from({ length: CLIENTS }, (_, client) => () => {
    const connection = client % 2 === 0 ? kept[client / 2] : undefined;
    return connection?.get('/count') ?? get(to, '/count');
  });
  const before = await app.inspect();
  const answers: Answer[] = [];
  const outcomes: string[] = [];
  for (let round = 0; round < ROUNDS; round += 1) {
    const sleeping = lab.appshot('sleep', app.aid);
    const burstAnswers = await Promise.all(askers.map((ask, client) => burst(round, client, ask)));
    answers.push(...burstAnswers.flat());
    const { code, stderr } = await sleeping;
    outcomes.push(code === 0 ? 'asleep' : stderr);
  }
  expect(answers).toHaveLength(CLIENTS * ROUNDS * REQUESTS_A_ROUND);
  expect(new Set(answers.map((answer) => answer.status))).toEqual(new Set([200]));
  const counts = answers.map((answer) => (JSON.parse(answer.body) as { count: number }).count);
  expect(counts.toSorted((a, b) => a - b)).toEqual(Array.from(answers, (_, index) => index + 1));
  const { count } = await getJson<{ count: number }>(at, node.port, '/state');
  expect(count).toBe(answers.length);
  expect((await app.inspect()).processes.length).toBe(before.processes.length);
  // Whether a round's sleep completes depends on the moment of its packets; that none ever does would test nothing.
  expect(outcomes).toContain('asleep');
  expect(outcomes.filter((outcome) => outcome !== 'asleep' && !outcome.includes('[TURNED_BACK]'))).toEqual(
    [],
  );
  kept.forEach((connection) => connection.close());
  await app.remove();
});

test('twenty clients that knock at once wake a sleeping application once', async () => {
  const app = await launch(lab, 'knock', node.launch);
  await node.ready({ lab, address: app.address });
  const to = lab.namespace.inside(app.address, node.port);
  for (let round = 0; round < 5; round += 1) {
    await app.sleep();
    const answers = await Promise.all(Array.from({ length: CLIENTS }, () => get(to, '/count')));
    expect(answers.every((answer) => answer.status === 200)).toBe(true);
  }
  expect(await getJson({ lab, address: app.address }, node.port, '/state')).toMatchObject({ count: 100 });
  await app.remove();
});
