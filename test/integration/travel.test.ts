/** Snapshots that travel to a daemon of another host with an empty data directory, in a file and by way of a registry, and live on there. */
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { copyFileSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import type { ImportedApp, TransferResult } from '../../src/api/index.ts';
import type { ErrorBody } from '../../src/common/index.ts';
import { run } from '../../src/exec/index.ts';
import { applicationOf, launch } from '../support/application.ts';
import type { Application } from '../support/application.ts';
import { eventually } from '../support/eventually.ts';
import { failureOf } from '../support/failure.ts';
import { startImageRegistry } from '../support/image-registry.ts';
import type { ImageRegistry } from '../support/image-registry.ts';
import { createLab } from '../support/lab.ts';
import type { Lab } from '../support/lab.ts';
import { askLedger, expectCount, launchLedger } from '../support/ledger.ts';
import { pastOf } from '../support/past.ts';
import { chain } from '../support/programs/chain.ts';
import { node } from '../support/programs/node.ts';
import { postgres, query } from '../support/programs/postgres.ts';
import { PYTHON, openLines } from '../support/programs/program.ts';
import { redis } from '../support/programs/redis.ts';

/** Between the two hosts, and nowhere else. */
const [HERE, THERE] = ['192.0.2.1', '192.0.2.2'];

let here: Lab;
let there: Lab;
let registry: ImageRegistry;
let made = 0;

const connect = async (): Promise<void> => {
  const ends = [
    [here.name, HERE],
    [there.name, THERE],
  ] as const;
  await run('ip', [
    ...['link', 'add', 'road', 'netns', here.name, 'type', 'veth'],
    ...['peer', 'name', 'road', 'netns', there.name],
  ]);
  for (const [name, address] of ends) {
    await run('ip', ['-n', name, 'address', 'add', `${address}/30`, 'dev', 'road']);
    await run('ip', ['-n', name, 'link', 'set', 'road', 'up']);
  }
};

beforeAll(async () => {
  [here, there] = [await createLab(), await createLab()];
  await connect();
  await Promise.all([here.daemon(), there.daemon()]);
  registry = await startImageRegistry(undefined, {}, { namespace: here.namespace.path, address: HERE });
});

afterAll(async () => {
  await registry[Symbol.asyncDispose]();
  await here[Symbol.asyncDispose]();
  await there[Symbol.asyncDispose]();
});

const newFile = (): string => join(here.directory, `file-${++made}`);

const exportTo = async (app: Application, ...options: string[]): Promise<string> => {
  const file = newFile();
  const sent = (await here.succeed('export', '--json', app.name, file, ...options)).json<TransferResult>();
  expect(sent.transferred).toBe(statSync(file).size);
  return file;
};

const received = async (...words: string[]): Promise<Application> => {
  const result = (await there.succeed(...words, '--json')).json<ImportedApp>();
  expect(result.state).toBe('asleep');
  const app = applicationOf(there, result);
  onTestFinished(() => app.remove());
  return app;
};

const refusal = async (...words: string[]): Promise<ErrorBody> =>
  failureOf(await there.appshot(...words, '--json'));

const nothingThere = async (): Promise<void> => {
  expect((await there.succeed('ps', '--all', '--json')).json()).toEqual([]);
};

const startLedger = async (count: number): Promise<Application> => {
  const app = await launchLedger(here, `ledger-${++made}`);
  onTestFinished(() => app.remove());
  for (let at = 0; at < count; at += 1) await askLedger(here, app, '/add');
  return app;
};

describe('a file', () => {
  test('takes memory and files along, and the application goes on in both places', async () => {
    const app = await startLedger(3);
    await app.sleep();
    const file = await exportTo(app);
    await askLedger(here, app, '/add');
    const moved = await received('import', file);
    expect(moved).toMatchObject({ name: app.name, hostname: app.hostname });
    const before = await expectCount(here, app, 4);
    // Its first packet there wakes it.
    expect(await expectCount(there, moved, 3)).toMatchObject({ pid: before.pid, hostname: app.hostname });
    for (const mode of ['layer', 'lazy', 'copy']) {
      await askLedger(there, moved, '/add');
      await moved.sleep();
      await there.succeed('wake', '--memory', mode, moved.aid);
    }
    await expectCount(there, moved, 6);
    await expectCount(here, app, 4);
    expect((await pastOf(there, moved).settled())[0]).toMatchObject({ kind: 'import', parent: null });

    const again = await received('import', file, '--name', 'again');
    expect(await expectCount(there, again, 3)).toMatchObject({ hostname: 'again' });
    expect((await refusal('import', file)).code).toBe('NAME_TAKEN');
  });

  test.each([node, redis, chain])('takes $name along', async (program) => {
    const app = await launch(here, program.name, program.launch);
    onTestFinished(() => app.remove());
    const at = { lab: here, address: app.address };
    await program.ready(at);
    const work = await program.begin(at);
    await work.goOn();
    await app.sleep();
    const moved = await received('import', await exportTo(app));
    Object.assign(at, { lab: there, address: moved.address });
    await work.goOn();
    await moved.sleep();
    await work.goOn();
    expect(await moved.state()).toBe('running');
    await work.close();
  });

  test('takes a database along', async () => {
    const app = await launch(here, postgres.name, postgres.launch);
    onTestFinished(() => app.remove());
    const at = { lab: here, address: app.address };
    await postgres.ready(at);
    await query(at, 'CREATE TABLE entry AS SELECT generate_series(1, 5000) AS id');
    await app.sleep();
    const moved = await received('import', await exportTo(app));
    const away = { lab: there, address: moved.address };
    expect(await query(away, 'SELECT count(*), sum(id) FROM entry')).toBe('5000|12502500');
    await query(away, 'INSERT INTO entry VALUES (0)');
    expect(await query(away, 'SELECT count(*) FROM entry')).toBe('5001');
    expect(await query(at, 'SELECT count(*) FROM entry')).toBe('5000');
  });

  test('signed and encrypted opens with the right keys only', async () => {
    const app = await startLedger(1);
    const [sign, verify, other, secret, wrong, phrase] = Array.from({ length: 6 }, newFile) as [
      string,
      string,
      string,
      string,
      string,
      string,
    ];
    const pair = generateKeyPairSync('ed25519');
    writeFileSync(sign, pair.privateKey.export({ type: 'pkcs8', format: 'pem' }), { mode: 0o600 });
    writeFileSync(verify, pair.publicKey.export({ type: 'spki', format: 'pem' }));
    writeFileSync(other, generateKeyPairSync('ed25519').publicKey.export({ type: 'spki', format: 'pem' }));
    for (const path of [secret, wrong]) writeFileSync(path, randomBytes(32), { mode: 0o600 });
    writeFileSync(phrase, 'correct horse battery staple\n', { mode: 0o600 });
    await app.sleep();
    const [open, closed, spoken] = [
      await exportTo(app),
      await exportTo(app, '--sign', sign, '--encrypt-key', secret),
      await exportTo(app, '--passphrase-file', phrase),
    ] as const;
    const refused = [
      [[open, '--verify', verify], 'BUNDLE_UNSIGNED'],
      [[open, '--decrypt-key', secret], 'BUNDLE_KEY'],
      [[closed], 'BUNDLE_KEY'],
      [[closed, '--decrypt-key', wrong], 'BUNDLE_KEY'],
      [[closed, '--decrypt-key', secret, '--verify', other], 'BUNDLE_SIGNATURE'],
      [[closed, '--decrypt-key', sign], 'BUNDLE_KEY'],
      [[spoken, '--decrypt-key', secret], 'BUNDLE_KEY'],
      [[closed, '--verify', closed, '--decrypt-key', secret], 'KEY_UNUSABLE'],
    ] as const;
    for (const [words, code] of refused)
      expect({ words, code: (await refusal('import', ...words)).code }).toEqual({ words, code });
    await nothingThere();
    const moved = await received('import', closed, '--verify', verify, '--decrypt-key', secret);
    await expectCount(there, moved, 1);
    const told = await received('import', spoken, '--passphrase-file', phrase, '--name', 'told');
    await expectCount(there, told, 1);
  });
});

describe('a registry', () => {
  test('is sent, and asked for, only what is missing', async () => {
    const app = await startLedger(2);
    const reference = `${registry.host}/shop/${app.name}:latest`;
    const push = async (): Promise<TransferResult> =>
      (await here.succeed('push', '--json', '--plain-http', app.name, reference)).json();
    const pull = async (name: string): Promise<Application & Pick<TransferResult, 'transferred'>> => {
      const words = ['pull', '--json', '--plain-http', reference, '--name', name];
      const result = (await there.succeed(...words)).json<ImportedApp>();
      const moved = applicationOf(there, result);
      onTestFinished(() => moved.remove());
      return Object.assign(moved, { transferred: result.transferred });
    };
    await app.sleep();
    const first = await push();
    expect(first.transferred).toBeGreaterThan(1 << 20);
    const monday = await pull('monday');
    expect(monday.transferred).toBeGreaterThan(1 << 20);
    await expectCount(there, monday, 2);

    await askLedger(here, app, '/add');
    await app.sleep();
    const second = await push();
    expect(second.transferred).toBeLessThan(first.transferred / 4);
    const tuesday = await pull('tuesday');
    expect(tuesday.transferred).toBeLessThan(monday.transferred / 4);
    await expectCount(there, tuesday, 3);
    await expectCount(there, monday, 2);
    expect((await push()).transferred).toBeLessThan(64 << 10);
    const absent = `${registry.host}/shop/nothing:latest`;
    expect((await refusal('pull', '--plain-http', absent)).code).toBe('REMOTE_NOT_FOUND');
  });
});

describe('where the files that it has mapped are others', () => {
  const SERVER = `
import mmap, socket
with open('/opt/tool/data', 'rb') as file:
    data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
server = socket.create_server(('0.0.0.0', 8080))
while True:
    client, _ = server.accept()
    while client.recv(100):
        client.sendall(data[:5] + b'\\n')
`;
  const ask = async (lab: Lab, { address }: Application): Promise<string> => {
    const client = await openLines({ lab, address }, 8080);
    try {
      return await client.ask('data');
    } finally {
      client.close();
    }
  };

  test('it is refused before anything starts, and forced where that is safe', async () => {
    const tool = mkdtempSync(join(tmpdir(), 'appshot-tool-'));
    onTestFinished(() => rmSync(tool, { recursive: true }));
    const [program, data] = [join(tool, 'python'), join(tool, 'data')];
    copyFileSync(PYTHON, program);
    writeFileSync(data, 'first'.padEnd(8192));
    const command = ['/opt/tool/python', '-c', SERVER];
    const app = await launch(here, 'mapper', { command }, ['--volume', `${tool}:/opt/tool`]);
    onTestFinished(() => app.remove());
    expect(await eventually(() => ask(here, app))).toBe('first');
    await app.sleep();
    const file = await exportTo(app);

    // Where it arrives, the volume has another program.
    copyFileSync('/usr/bin/perl', program);
    for (const options of [[], ['--force']]) {
      const refused = await refusal('import', file, ...options);
      expect(refused).toMatchObject({
        code: 'FINGERPRINT_MISMATCH',
        details: { differences: [{ kind: 'file', name: '/opt/tool/python', fatal: true }] },
      });
      expect(refused.message).toContain('/opt/tool/python');
    }
    await nothingThere();
    // The one that sleeps here is refused as well, and sleeps on.
    expect(failureOf(await here.appshot('wake', '--json', app.name)).code).toBe('FINGERPRINT_MISMATCH');
    expect(await app.state()).toBe('asleep');
    copyFileSync(PYTHON, program);
    expect(await ask(here, app)).toBe('first');

    // Other data, of the same size.
    writeFileSync(data, 'other'.padEnd(8192));
    expect(await refusal('import', file)).toMatchObject({
      code: 'FINGERPRINT_MISMATCH',
      details: { differences: [{ kind: 'file', name: '/opt/tool/data', fatal: false }] },
    });
    await nothingThere();
    const forced = await received('import', file, '--force');
    expect(await ask(there, forced)).toBe('other');
  });
});
