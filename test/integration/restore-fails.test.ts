/** What an application holds open was changed while it slept: the wake fails and says so, and with it as it was it wakes. */
import {
  mkdirSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { launch } from '../support/application.ts';
import type { Application } from '../support/application.ts';
import { failureOf } from '../support/failure.ts';
import { createLab } from '../support/lab.ts';
import type { Lab } from '../support/lab.ts';
import { expectNothingLeft, settledInventory } from '../support/nothing-left.ts';
import type { Inventory } from '../support/nothing-left.ts';
import { lineClient } from '../support/line-client.ts';
import type { LineClient } from '../support/line-client.ts';
import { eventually } from '../support/eventually.ts';
import { PYTHON } from '../support/programs/program.ts';

const PORT = 8090;
/** Answers each line with the first bytes of a file of its volume, which it holds open. */
const READER = `
import socket
held = open('/shared/held', 'rb')
server = socket.create_server(('', ${PORT}))
while True:
    client = server.accept()[0]
    while client.recv(100):
        held.seek(0)
        client.sendall(held.read(4) + b'\\n')
`;

let lab: Lab;
let baseline: Inventory;
let app: Application;
let idle: LineClient;
/** The file, as this machine sees it. */
let held: string;

beforeAll(async () => {
  lab = await createLab();
  await lab.daemon();
  baseline = await settledInventory(lab);
  const shared = join(lab.directory, 'shared');
  mkdirSync(shared);
  held = join(shared, 'held');
  writeFileSync(held, 'same and more');
  const volume = ['--volume', `${shared}:/shared`];
  app = await launch(lab, 'reader', { command: [PYTHON, '-c', READER] }, volume);
  idle = lineClient(await eventually(() => lab.connect(app.address, PORT)));
  await idle.ask('?');
});

beforeEach(async () => {
  await app.sleep();
  await app.kept();
});

afterAll(async () => {
  await lab[Symbol.asyncDispose]();
});

type Change = readonly [what: string, spoil: () => () => void, reason: RegExp];

/** Each gives back how to undo it. */
const CHANGES: readonly [Change, ...Change[]] = [
  [
    'shortened',
    () => {
      const whole = readFileSync(held);
      truncateSync(held, 4);
      return () => writeFileSync(held, whole);
    },
    /held.*size/,
  ],
  [
    'removed',
    () => {
      renameSync(held, `${held}.aside`);
      return () => renameSync(`${held}.aside`, held);
    },
    /held/,
  ],
  [
    'replaced by a directory',
    () => {
      renameSync(held, `${held}.aside`);
      mkdirSync(held);
      return () => {
        rmSync(held, { recursive: true });
        renameSync(`${held}.aside`, held);
      };
    },
    /held/,
  ],
];

test.each(CHANGES)('a file that it holds open was %s', async (_what, spoil, reason) => {
  const mend = spoil();
  const snapshots = readdirSync(join(lab.dataDirectory, 'snapshots'));
  // Twice: a failure must not make the next one another.
  for (let turn = 0; turn < 2; turn += 1) {
    const error = failureOf(await lab.appshot('wake', '--json', app.aid));
    expect(error).toMatchObject({ code: 'WAKE_FAILED', details: { step: 'restore', code: 'ENGINE_FAILED' } });
    expect(error.message).toMatch(reason);
    const { state, failure } = await app.inspect();
    expect({ state, failure }).toMatchObject({ state: 'asleep', failure: { step: 'restore' } });
  }
  await expectNothingLeft(lab, baseline);
  expect(readdirSync(join(lab.dataDirectory, 'snapshots'))).toEqual(snapshots);
  mend();
  await app.wake();
  expect(await idle.ask('?')).toBe('same');
  expect((await app.inspect()).failure).toBeNull();
});

test('a packet wakes it after a wake that failed', async () => {
  const [[, spoil]] = CHANGES;
  const mend = spoil();
  failureOf(await lab.appshot('wake', '--json', app.aid));
  mend();
  expect(await idle.ask('?')).toBe('same');
  await app.remove();
  await expectNothingLeft(lab, baseline);
});
