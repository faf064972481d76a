/** No two of fifty clones have random output in common, whatever runtime they are of and whatever source it comes from. */
import { execPath } from 'node:process';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import type { CloneView } from '../../src/api/index.ts';
import { launch } from '../support/application.ts';
import { eventually } from '../support/eventually.ts';
import { createLab } from '../support/lab.ts';
import type { Lab } from '../support/lab.ts';
import { PYTHON, fixture, getJson } from '../support/programs/program.ts';

const PORT = 8080;
const CLONES = 50;

interface Answer {
  readonly generation: number;
  readonly sources: Readonly<Record<string, string | number>>;
}

let lab: Lab;

beforeAll(async () => {
  lab = await createLab();
  await lab.daemon();
});

afterAll(async () => {
  await lab[Symbol.asyncDispose]();
});

const ask = (address: string): Promise<Answer> => getJson<Answer>({ lab, address }, PORT, '/');

/** How many different outputs each source has given. */
const different = (answers: readonly Answer[]): Record<string, number> =>
  Object.fromEntries(
    Object.keys(answers[0]?.sources ?? {}).map((source) => [
      source,
      new Set(answers.map(({ sources }) => sources[source])).size,
    ]),
  );

test.each([
  { name: 'node', command: [execPath, fixture('random-node.js'), String(PORT)] },
  { name: 'python', command: [PYTHON, fixture('random-python.py'), String(PORT)] },
  { name: 'java', command: ['java', fixture('Random.java'), String(PORT)] },
])('$name: each source differs in each clone', async ({ name, command }) => {
  const app = await launch(lab, name, { command });
  onTestFinished(() => app.remove());
  const { sources } = await eventually(() => ask(app.address), 30_000, 100);
  await lab.succeed('template', 'create', `of-${name}`, '--from', name);
  const cloned = await lab.succeed('clone', `of-${name}`, '--count', String(CLONES), '--json');
  const clones = cloned.json<CloneView[]>();
  onTestFinished(async () => void (await lab.succeed('rm', '--force', ...clones.map(({ aid }) => aid))));
  // Its own next numbers are what the clones' would be, if nobody had seen to it.
  const everyone = [app.address, ...clones.map(({ address }) => address)];
  const answers: Answer[] = [];
  for (const address of everyone) answers.push(await ask(address));
  expect(answers.map(({ generation }) => generation)).toEqual([0, ...clones.map(() => 1)]);
  expect(different(answers)).toEqual(
    Object.fromEntries(Object.keys(sources).map((source) => [source, CLONES + 1])),
  );
});
