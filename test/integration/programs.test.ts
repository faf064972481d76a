/**
 * Real programs with their real clients: run, use, sleep, nothing left, wake by the first packet, use again; then ten more
 * turns without a leak. No test here asks for a wake: packets do.
 */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { launch } from '../support/application.ts';
import { createLab } from '../support/lab.ts';
import type { Lab } from '../support/lab.ts';
import { expectNothingLeft, settledInventory } from '../support/nothing-left.ts';
import type { Inventory } from '../support/nothing-left.ts';
import { PROGRAMS } from '../support/programs/index.ts';

const MORE_TURNS = 10;

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

test.each(PROGRAMS)('$name sleeps and wakes with its state and connections', async (program) => {
  const app = await launch(lab, program.name, program.launch);
  const at = { lab, address: app.address };
  await program.ready(at);
  const work = await program.begin(at);
  const idle = await program.openIdle(at);
  for (let turn = 0; turn <= MORE_TURNS; turn += 1) {
    expect(await app.sleep()).toMatchObject({ aid: app.aid, state: 'asleep' });
    await expectNothingLeft(lab, baseline);
    // In turns, the packet that wakes is a new connection's and the idle connection's.
    const uses = [() => work.goOn(), () => idle.check()];
    for (const use of turn % 2 === 0 ? uses : uses.toReversed()) await use();
    expect(await app.state()).toBe('running');
  }
  await work.close();
  await idle.close();
  await app.remove();
  await expectNothingLeft(lab, baseline);
});
