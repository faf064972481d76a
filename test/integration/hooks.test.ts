/**
 * What is done inside a clone before others reach it, tried on applications that run: commands, signals and requests reach the inside of an
 * application, and a failure says what happened.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import type { AppView } from '../../src/api/index.ts';
import { announce, runHooks } from '../../src/application/hooks.ts';
import type { House } from '../../src/application/index.ts';
import { toAppShotError } from '../../src/common/index.ts';
import type { AppShotError } from '../../src/common/index.ts';
import { loadEngine } from '../../src/criu/index.ts';
import type { Environment } from '../../src/environments/index.ts';
import type { ApplicationRecord } from '../../src/registry/index.ts';
import { Layout } from '../../src/snapshots/index.ts';
import type { Hook } from '../../src/templates/index.ts';
import { launch } from '../support/application.ts';
import type { Application, Launch } from '../support/application.ts';
import { eventually } from '../support/eventually.ts';
import { failureOf } from '../support/failure.ts';
import { createLab } from '../support/lab.ts';
import type { Lab } from '../support/lab.ts';
import { fixture, getJson } from '../support/programs/program.ts';

const PORT = 8080;
const WITHIN = 5000;
const IDENTITY = '/.appshot/identity.json';

let lab: Lab;
let made = 0;

beforeAll(async () => {
  lab = await createLab();
  await lab.daemon();
});

afterAll(async () => {
  await lab[Symbol.asyncDispose]();
});

type Wanted =
  | { kind: 'command'; command: string[]; withinMs?: number }
  | { kind: 'signal'; signal: string; process?: string; withinMs?: number }
  | { kind: 'request'; url: string; withinMs?: number };

const hookOf = (wanted: Wanted): Hook => ({
  text: 'ON CLONE ...',
  file: 'rules',
  line: 1,
  column: 1,
  withinMs: WITHIN,
  ...(wanted.kind === 'signal' ? { process: null, ...wanted } : wanted),
});

/** What the daemon knows of an application, read from the kernel. */
const insideOf = async (
  app: Application,
): Promise<{ house: House; record: ApplicationRecord; environment: Environment }> => {
  const { processes, spec, environment: id } = await app.inspect();
  const [root] = processes.filter(({ parent }) => !processes.some(({ pid }) => pid === parent));
  const status = readFileSync(`/proc/${root?.systemPid}/status`, 'utf8');
  const house = {
    processesIn: () => processes.map(({ systemPid }) => systemPid),
    memberFiles: () => [],
    engine: { init: loadEngine().init },
    layout: new Layout(lab.dataDirectory),
  };
  return {
    house: house as unknown as House,
    record: { ...app, spec, data: { rootPid: root?.pid } } as unknown as ApplicationRecord,
    environment: { id, pid: Number(/^PPid:\s*(\d+)$/m.exec(status)?.[1]) } as Environment,
  };
};

const greet = async (app: Application, ...wanted: Wanted[]): Promise<void> => {
  const { house, record, environment } = await insideOf(app);
  await runHooks(house, record, environment, wanted.map(hookOf));
};

const refusalOf = async (app: Application, wanted: Wanted): Promise<AppShotError> => {
  const error: unknown = await greet(app, wanted).then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  expect(error).toMatchObject({ code: 'HOOK_FAILED' });
  return toAppShotError(error);
};

const begin = async (what: Launch): Promise<Application> => {
  const app = await launch(lab, `greeted-${++made}`, what);
  onTestFinished(() => app.remove());
  await eventually(() => getJson({ lab, address: app.address }, PORT, '/state'));
  return app;
};

const greeted = (...more: string[]): Promise<Application> =>
  begin({ command: [process.execPath, fixture('greeted.js'), String(PORT), ...more] });

/** Everything that it has noticed, in order. */
const noticed = async ({ address }: { readonly address: string }): Promise<string[]> =>
  (await getJson<{ noticed: string[] }>({ lab, address }, PORT, '/state')).noticed;

test('hooks run one after another, inside the application', async () => {
  const app = await greeted();
  await greet(
    app,
    { kind: 'request', url: `http://127.0.0.1:${PORT}/first` },
    { kind: 'command', command: ['sh', '-c', `curl -sf "http://localhost:${PORT}/$APPSHOT_NAME/$(id -u)"`] },
    { kind: 'signal', signal: 'USR2' },
    { kind: 'request', url: `http://127.0.0.1:${PORT}/last` },
  );
  await eventually(async () => expect(await noticed(app)).toHaveLength(4));
  expect((await noticed(app)).toSorted()).toEqual(
    ['/first', '/last', 'SIGUSR2', `/${app.name}/0`].toSorted(),
  );
});

test('a command runs as the first process was started', async () => {
  const app = await begin({
    processes: {
      web: {
        command: [process.execPath, fixture('greeted.js'), String(PORT)],
        user: 'nobody',
        environment: { COLOUR: 'blue' },
      },
    },
  });
  await greet(app, {
    kind: 'command',
    command: ['sh', '-c', `curl -sf "http://localhost:${PORT}/$(id -un)/$COLOUR"`],
  });
  expect(await noticed(app)).toEqual(['/nobody/blue']);
});

describe('a signal', () => {
  test('goes to who has a use for it, and ends nobody', async () => {
    const app = await begin({
      processes: {
        web: { command: [process.execPath, fixture('greeted.js'), String(PORT)] },
        other: { command: ['sleep', '1000'] },
      },
    });
    await greet(app, { kind: 'signal', signal: 'USR2' }, { kind: 'signal', signal: 'HUP', process: 'web' });
    await eventually(async () => expect(await noticed(app)).toHaveLength(2));
    expect((await noticed(app)).toSorted()).toEqual(['SIGHUP', 'SIGUSR2']);
    expect((await app.inspect()).processes.map(({ command }) => command)).toContain('sleep 1000');
    expect((await refusalOf(app, { kind: 'signal', signal: 'USR2', process: 'other' })).message).toBe(
      `the signal USR2 to other of the clone ${app.name} failed: none of 1 processes handles it`,
    );
    expect((await refusalOf(app, { kind: 'signal', signal: 'USR2', process: 'third' })).message).toContain(
      'no process third is running',
    );
    expect((await refusalOf(app, { kind: 'signal', signal: 'NONE' })).message).toContain('no signal NONE');
  });
});

describe('a failure', () => {
  test('of a command tells how it ended and its last words', async () => {
    const app = await greeted();
    const { message, details } = await refusalOf(app, {
      kind: 'command',
      command: ['sh', '-c', 'echo no such key >&2; exit 3'],
    });
    expect(message).toContain(`of the clone ${app.name} failed: exit code 3: no such key`);
    expect(details).toMatchObject({ file: 'rules', line: 1 });
    const missing = await refusalOf(app, { kind: 'command', command: ['nowhere'] });
    expect(missing.message).toContain('nowhere: No such file or directory');
  });

  test('of a request tells the answer', async () => {
    const app = await greeted();
    const { message } = await refusalOf(app, { kind: 'request', url: `http://127.0.0.1:${PORT}/refuse` });
    expect(message).toContain('failed: the answer was 503: not today');
    const closed = await refusalOf(app, { kind: 'request', url: 'http://127.0.0.1:1/' });
    expect(closed.message).toContain('ECONNREFUSED');
  });

  test('to be done in time says so, and what is behind it is not run', async () => {
    const app = await greeted();
    const { message } = await refusalOf(app, {
      kind: 'request',
      url: `http://127.0.0.1:${PORT}/silence`,
      withinMs: 200,
    });
    expect(message).toContain('no answer within 200 ms');
    const slow = await refusalOf(app, { kind: 'command', command: ['sleep', '60'], withinMs: 200 });
    expect(slow.message).toContain('no end after 200 ms');
    const both = greet(
      app,
      { kind: 'command', command: ['false'] },
      { kind: 'request', url: `http://127.0.0.1:${PORT}/never` },
    );
    await expect(both).rejects.toMatchObject({ code: 'HOOK_FAILED' });
    expect(await noticed(app)).toEqual(['/silence']);
  });
});

describe('in a clone', () => {
  const template = async (rules: string): Promise<string> => {
    const file = join(lab.directory, `rules-${++made}`);
    writeFileSync(file, rules);
    const app = await launch(
      lab,
      `greeted-${made}`,
      { command: [process.execPath, fixture('greeted.js'), String(PORT), IDENTITY] },
      ['--rules', file],
    );
    await eventually(() => noticed(app));
    await lab.succeed('template', 'create', `template-${made}`, '--from', app.name);
    await app.remove();
    onTestFinished(async () => void (await lab.succeed('template', 'rm', `template-${made}`)));
    return `template-${made}`;
  };

  test('they have run when it answers, and whoever watches is told', async () => {
    const from = await template(`
      ON CLONE REQUEST "http://127.0.0.1:${PORT}/cloned"
      ON CLONE RUN "sh -c 'curl -sf http://$APPSHOT_ADDRESS:${PORT}/$APPSHOT_NAME/$APPSHOT_INSTANCE'" WITHIN 10s
      ON CLONE SIGNAL USR2
    `);
    const clones = (await lab.succeed('clone', from, '--count', '3', '--json')).json<AppView[]>();
    onTestFinished(async () => void (await lab.succeed('rm', '--force', ...clones.map(({ aid }) => aid))));
    for (const [index, clone] of clones.entries()) {
      expect((await noticed(clone)).slice(0, 2)).toEqual(['/cloned', `/${clone.name}/${index + 1}`]);
      await eventually(async () => expect(await noticed(clone)).toContain('SIGUSR2'));
      await eventually(async () => expect(await noticed(clone)).toContain('change'));
    }
  });

  test('one that fails keeps it off the network', async () => {
    const from = await template('ON CLONE RUN "sh -c \'echo no key >&2; exit 4\'"');
    const { message } = failureOf(await lab.appshot('clone', from, '--json'));
    expect(message).toMatch(/the command "sh -c echo no key.*failed: exit code 4: no key$/);
    expect((await lab.succeed('ps', '--json')).json<AppView[]>().map(({ name }) => name)).not.toContain(
      `${from}-1`,
    );
  });
});

describe('a program that watches its identity', () => {
  test('hears of a clone, and finds the file whole', async () => {
    const app = await greeted(IDENTITY);
    const before = (await lab.succeed('exec', app.name, '--', 'cat', IDENTITY)).stdout;
    const { environment } = await insideOf(app);
    announce(environment);
    await eventually(async () => expect(await noticed(app)).toContain('change'));
    expect((await lab.succeed('exec', app.name, '--', 'cat', IDENTITY)).stdout).toBe(before);
  });

  test('cannot lead out of its files', async () => {
    const app = await greeted();
    await lab.succeed('exec', app.name, '--', 'ln', '-sf', '/etc/hostname', IDENTITY);
    const { environment } = await insideOf(app);
    announce(environment);
    await lab.succeed('exec', app.name, '--', 'rm', IDENTITY);
    announce(environment);
    await lab.succeed('exec', app.name, '--', 'mkfifo', IDENTITY);
    announce(environment);
    expect(await app.state()).toBe('running');
  });
});
