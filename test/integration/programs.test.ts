/**
 * Real programs with their real clients: run, use, sleep, nothing left, wake by the first packet, use again; then ten turns in each
 * mode of memory without a leak, so that every mode follows every other.
 */
import { afterAll, beforeAll, expect, onTestFailed, test } from 'vitest';
import { Client } from '../../src/api/client.ts';
import type { MemoryMode, WakeResult } from '../../src/api/index.ts';
import { AppShotError } from '../../src/common/index.ts';
import { launch } from '../support/application.ts';
import { createLab } from '../support/lab.ts';
import type { Lab } from '../support/lab.ts';
import { expectNothingLeft, settledInventory } from '../support/nothing-left.ts';
import type { Inventory } from '../support/nothing-left.ts';
import { PROGRAMS } from '../support/programs/index.ts';

/** What slept with its memory in one mode wakes in another: nine turns have each of the nine pairs, the last with the first. */
const ROUND: readonly MemoryMode[] = [
  'layer',
  'layer',
  'lazy',
  'lazy',
  'copy',
  'copy',
  'layer',
  'copy',
  'lazy',
];
/** Ten of each. */
const TURNS: readonly MemoryMode[] = [...ROUND, ...ROUND, ...ROUND, 'layer', 'lazy', 'copy'];

/** On a busy machine. */
const MOST_MS = 300_000;

let lab: Lab;
let baseline: Inventory;

beforeAll(async () => {
  lab = await createLab();
  await lab.daemon();
  baseline = await settledInventory(lab);
});

afterAll(async () => {
  await lab[Symbol.asyncDispose]();
});

/** As often as it takes: what a use leaves behind it, such as a late acknowledgement, is a reason to stay awake. */
const fallAsleep = async (client: Client, aid: string): Promise<void> => {
  for (;;)
    try {
      return void (await client.sleep(aid));
    } catch (error) {
      if (!(error instanceof AppShotError) || error.code !== 'TURNED_BACK') throw error;
    }
};

/** Sleeps, and wakes in this mode; again when a packet came first and woke it in another. */
const turnTo = async (client: Client, aid: string, mode: MemoryMode): Promise<WakeResult['memory']> => {
  let memory: WakeResult['memory'] = null;
  for (let tries = 0; tries < 5 && memory?.mode !== mode; tries += 1) {
    await fallAsleep(client, aid);
    ({ memory } = await client.wake(aid, { memory: mode }));
  }
  return memory;
};

test.each(PROGRAMS)(
  '$name sleeps and wakes with its state and connections',
  async (program) => {
    const app = await launch(lab, program.name, program.launch);
    // What is left of it would fail the ones after it.
    onTestFailed(() => app.remove());
    const at = { lab, address: app.address };
    await program.ready(at);
    const work = await program.begin(at);
    const idle = await program.openIdle(at);
    const uses = [() => work.goOn(), () => idle.check()];

    // The packet that wakes is a new connection's, then the idle connection's.
    for (const inTurn of [uses, uses.toReversed()]) {
      expect(await app.sleep()).toMatchObject({ aid: app.aid, state: 'asleep' });
      await expectNothingLeft(lab, baseline);
      for (const use of inTurn) await use();
      expect(await app.state()).toBe('running');
    }

    // As the command line does, without its start at each of so many turns.
    const client = new Client(lab.runDirectory);
    for (const [turn, mode] of TURNS.entries()) {
      expect(await turnTo(client, app.aid, mode), `turn ${turn}`).toMatchObject({ mode });
      await idle.check();
      // Five is prime to nine: each time after another pair.
      if (turn % 5 === 4) await work.goOn();
    }

    await fallAsleep(client, app.aid);
    await expectNothingLeft(lab, baseline);
    await work.close();
    await idle.close();
    await app.remove();
    await expectNothingLeft(lab, baseline);
  },
  MOST_MS,
);
