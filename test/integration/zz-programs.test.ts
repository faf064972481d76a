/**
 * Real programs with their real clients: run, use, sleep, nothing left, wake by the first packet, use again; then ten turns in each
 * mode of memory without a leak, so that every mode follows every other.
 */
import { afterAll, beforeAll, expect, onTestFailed, test } from 'vitest';
import { Client } from '../../src/api/client.ts';
import type { MemoryMode } from '../../src/api/index.ts';
import { launch } from '../support/application.ts';
import { createLab } from '../support/lab.ts';
import type { Lab } from '../support/lab.ts';
import { expectNothingLeft, settledInventory } from '../support/nothing-left.ts';
import type { Inventory } from '../support/nothing-left.ts';
import { PROGRAMS } from '../support/programs/index.ts';

/** What slept with its memory in one mode wakes in another: nine turns have each of the nine pairs, the last with the first. */
const ROUND: readonly MemoryMode[] = ['layer', 'layer', 'lazy', 'lazy', 'copy', 'copy', 'layer', 'copy', 'lazy'];
/** Ten of each. */
const TURNS: readonly MemoryMode[] = ([...ROUND, ...ROUND, ...ROUND, "layer", "lazy", "copy"] as MemoryMode[]).filter((m) => process.env["MODES"]?.split(",").includes(m) ?? true);

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
  // What is left of it would fail the ones after it.
  onTestFailed(() => new Promise((r) => setTimeout(r, process.env['STAY'] ? 1e6 : 0)).then(() => app.remove()));
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
    await client.sleep(app.aid);
    expect(await client.wake(app.aid, { memory: mode }), `turn ${turn}`).toMatchObject({
      state: 'running',
      memory: { mode },
    });
    await idle.check().catch((e: unknown) => { console.log(`FAILED idle turn ${turn} ${mode} before ${TURNS[turn-1]}`); throw e; });
    // Five is prime to nine: each time after another pair.
    if (turn % 5 === 4) await work.goOn().catch((e: unknown) => { console.log(`FAILED work turn ${turn} ${mode} before ${TURNS[turn-1]}`); throw e; });
  }

  await client.sleep(app.aid);
  await expectNothingLeft(lab, baseline);
  await work.close();
  await idle.close();
  await app.remove();
  await expectNothingLeft(lab, baseline);
});
