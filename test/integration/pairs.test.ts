/** Two applications that use the same port, paths, System V keys and IDs, and have the same PIDs, side by side. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { launch } from '../support/application.ts';
import type { Application } from '../support/application.ts';
import { createLab } from '../support/lab.ts';
import type { Lab } from '../support/lab.ts';
import { kitchen } from '../support/programs/kitchen.ts';
import { askJson } from '../support/programs/program.ts';
import type { Program } from '../support/programs/program.ts';
import { node } from '../support/programs/node.ts';
import { systemV } from '../support/programs/system-v.ts';

let lab: Lab;

beforeAll(async () => {
  lab = await createLab();
  await lab.daemon();
});

afterAll(async () => {
  await lab[Symbol.asyncDispose]();
});

const pair = async (program: Program): Promise<[Application, Application]> => {
  const [one, two] = [
    await launch(lab, `${program.name}-one`, program.launch),
    await launch(lab, `${program.name}-two`, program.launch),
  ];
  for (const { address } of [one, two]) await program.ready({ lab, address });
  return [one, two];
};

describe.each([node, systemV, kitchen])('two of $name', (program) => {
  test('sleep and wake independently, each with its own state', async () => {
    const [one, two] = await pair(program);
    expect(one.address).not.toBe(two.address);
    expect(one.hostname).not.toBe(two.hostname);
    const works = [
      await program.begin({ lab, address: one.address }),
      await program.begin({ lab, address: two.address }),
    ];
    // The first goes on twice as often, so that a state mixed up with the other's shows.
    await works[0]?.goOn();
    await one.sleep();
    await works[1]?.goOn();
    expect(await one.state()).toBe('asleep');
    await two.sleep();
    await works[0]?.goOn();
    expect(await two.state()).toBe('asleep');
    for (const work of works) await work.goOn();
    for (const work of works) await work.close();
    await one.remove();
    await two.remove();
  });
});

test('two applications have the same PIDs inside, and other ones outside', async () => {
  const apps = await pair(kitchen);
  const inside = await Promise.all(
    apps.map(({ address }) =>
      askJson<{ pid: number; child: number }>({ lab, address }, kitchen.port, 'state'),
    ),
  );
  expect(inside[0]?.pid).toBe(inside[1]?.pid);
  const details = await Promise.all(apps.map((app) => app.inspect()));
  const outside = details.map(({ processes }) => {
    const main = processes.find((one) => one.pid === inside[0]?.pid);
    expect(main).toBeDefined();
    return main?.systemPid;
  });
  expect(outside[0]).not.toBe(outside[1]);
  for (const app of apps) await app.remove();
});
