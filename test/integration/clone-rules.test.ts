/** What rules and links do for an application and its clones, and what is refused, with nothing left behind. */
import { mkdirSync, readFileSync, readdirSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { stringify } from 'yaml';
import type { AppView } from '../../src/api/index.ts';
import type { ErrorBody } from '../../src/common/index.ts';
import { applicationOf, launch } from '../support/application.ts';
import type { Application } from '../support/application.ts';
import {
  endLab,
  inspectTemplate,
  makeClone,
  makeClones,
  makeTemplate,
  removeAll,
  removeTemplate,
  templatesOf,
} from '../support/clones.ts';
import { eventually } from '../support/eventually.ts';
import { failureOf } from '../support/failure.ts';
import { createLab } from '../support/lab.ts';
import type { Lab } from '../support/lab.ts';
import { pastOf } from '../support/past.ts';
import { PYTHON, fixture, getJson } from '../support/programs/program.ts';
import { askTenant, launchTenant, whoIs } from '../support/tenant.ts';

let lab: Lab;
let made = 0;

beforeAll(async () => {
  lab = await createLab();
  await lab.daemon();
});

afterAll(async () => {
  await endLab(lab);
});

const ruleFile = (text: string): string => {
  const path = join(lab.directory, `${++made}.rules`);
  writeFileSync(path, text);
  return path;
};

const tenant = async (options: { kept?: string; options?: readonly string[] } = {}): Promise<Application> => {
  const app = await launchTenant(lab, `tenant-${++made}`, options);
  onTestFinished(() => app.remove());
  return app;
};

/** A template and, when the test ends, nothing of it or of what was cloned from it. */
const templateOf = async (app: Application, ...options: string[]): Promise<string> => {
  const name = `rules-${++made}`;
  await makeTemplate(lab, name, app, ...options);
  onTestFinished(() => removeTemplate(lab, name));
  return name;
};

const clones = async (template: string, count: number, ...options: string[]): Promise<Application[]> => {
  const all = await makeClones(lab, template, count, ...options);
  onTestFinished(() => removeAll(lab, all));
  return all;
};

const ask = <T = unknown>(at: Application, ...words: string[]): Promise<T> => askTenant<T>(lab, at, ...words);

describe('the example of the document', () => {
  const RULES = `
    # As in the document.
    DEFINE <APPL-ID> AS PROPERTY application-ID
    REDIR PATH "/user/app/config" TO "/usr/app/<APPL-ID>/config"
    SET ENV "HOME" = "/usr/app/<APPL-ID>"
  `;

  test('gives each its own files below the same path, and its own environment', async () => {
    const app = await tenant({ options: ['--rules', ruleFile(RULES), '--env', 'HOME=/root'] });
    const expectOwn = async (one: Application, words: Record<string, string>): Promise<void> => {
      const own = `/usr/app/${one.aid}`;
      expect(await ask(one, 'variable', 'HOME')).toBe(own);
      expect(await ask(one, 'list', '/user/app/config')).toEqual(Object.keys(words));
      for (const [name, word] of Object.entries(words)) {
        expect(await ask(one, 'read', `/user/app/config/${name}`)).toBe(word);
        expect(await ask(one, 'read', `${own}/config/${name}`)).toBe(word);
      }
    };
    await ask(app, 'write', '/user/app/config/common', 'source');
    await expectOwn(app, { common: 'source' });
    const template = await templateOf(app);
    const all = await clones(template, 3);
    for (const one of all) {
      await expectOwn(one, { common: 'source' });
      await ask(one, 'write', '/user/app/config/mine', one.name);
    }
    for (const one of all) {
      await expectOwn(one, { common: 'source', mine: one.name });
      await one.sleep();
      await expectOwn(one, { common: 'source', mine: one.name });
    }
    await expectOwn(app, { common: 'source' });
    // A clone of a clone has a place of its own too.
    const [first] = all as [Application];
    const [second] = (await clones(await templateOf(first), 1)) as [Application];
    await expectOwn(second, { common: 'source', mine: first.name });
    await ask(second, 'write', '/user/app/config/mine', 'second');
    await expectOwn(first, { common: 'source', mine: first.name });
    const { resources, rules } = await inspectTemplate(lab, template);
    expect(rules.map(({ text }) => text)).toEqual([RULES]);
    expect(resources).toContainEqual(
      expect.objectContaining({ type: 'link', name: '/user/app/config', classes: ['virtualize'] }),
    );
  });
});

describe('a dynamic link', () => {
  test('leads each to its own place, also for what was open when it was cloned', async () => {
    const app = await tenant({
      kept: '/data/journal',
      options: ['--link', '/data=/srv/<AID>/<INSTANCE>', '--link', '/opt/shared=/srv/by-name/<NAME>'],
    });
    expect(await ask(app, 'keep', 'source')).toEqual({
      path: `/srv/${app.aid}/0/journal`,
      words: ['source'],
    });
    const all = await clones(await templateOf(app), 3);
    for (const one of all) {
      expect(await ask(one, 'keep', one.name)).toMatchObject({ words: ['source', one.name] });
      await ask(one, 'write', '/data/later', one.name);
      await ask(one, 'write', '/opt/shared/note', one.name);
    }
    for (const [index, one] of all.entries()) {
      const own = `/srv/${one.aid}/${index + 1}`;
      expect(await ask(one, 'keep', 'end')).toEqual({
        path: `${own}/journal`,
        words: ['source', one.name, 'end'],
      });
      expect(await ask(one, 'read', `${own}/later`)).toBe(one.name);
      expect(await ask(one, 'read', '/data/journal')).toBe(`source\n${one.name}\nend\n`);
      expect(await ask(one, 'read', `/srv/by-name/${one.name}/note`)).toBe(one.name);
    }
    expect(await ask(app, 'list', '/data')).toEqual(['journal']);
    expect(await ask(app, 'keep', 'end')).toMatchObject({ words: ['source', 'end'] });
  });

  test('holds in those that have a snapshot of their own, and through sleeps', async () => {
    const app = await tenant({ kept: '/data/journal', options: ['--link', '/data=/srv/<HOSTNAME>'] });
    await ask(app, 'keep', 'source');
    for (const one of await clones(await templateOf(app), 2, '--offline')) {
      const path = `/srv/${one.hostname}/journal`;
      expect(await ask(one, 'keep', one.name)).toEqual({ path, words: ['source', one.name] });
      await one.sleep();
      expect(await ask(one, 'keep', 'woken')).toEqual({ path, words: ['source', one.name, 'woken'] });
    }
    const twin = await pastOf(lab, app).fork(`${app.name}-twin`);
    onTestFinished(() => twin.remove());
    expect(await ask(twin, 'read', '/data/journal')).toBe('source\n');
  });
});

describe('rules', () => {
  const variable = (one: Application, name: string): Promise<string> => ask<string>(one, 'variable', name);

  test('come from a file, from the program and from who makes the template', async () => {
    const app = await tenant({
      options: [
        ...['--env', 'USER=ann', '--env', 'FROM_PROGRAM=none', '--env', 'FROM_TEMPLATE=none'],
        '--rules',
        ruleFile('DEFINE <WHO> AS ENVIRONMENT "USER"\nSET ENV "FROM_FILE" = "<WHO>-<INSTANCE>"'),
      ],
    });
    expect(await variable(app, 'FROM_FILE')).toBe('ann-0');
    const own = 'SET ENV "FROM_PROGRAM" = "<NAME>"';
    await lab.succeed('exec', app.name, '--', 'sh', '-c', `echo '${own}' > /.appshot/rules`);
    const given = ruleFile('SET ENV "FROM_TEMPLATE" = "<ADDRESS>"');
    const template = await templateOf(app, '--rules', given);
    for (const [index, one] of (await clones(template, 2)).entries()) {
      expect(await variable(one, 'FROM_FILE')).toBe(`ann-${index + 1}`);
      expect(await variable(one, 'FROM_PROGRAM')).toBe(one.name);
      expect(await variable(one, 'FROM_TEMPLATE')).toBe(one.address);
    }
    const { rules } = await inspectTemplate(lab, template);
    expect(rules.map(({ file }) => file)).toEqual([
      expect.stringMatching(/\.rules$/),
      '/.appshot/rules',
      given,
    ]);
  });

  test('come from appshot.yaml', async () => {
    const file = join(lab.directory, 'appshot.yaml');
    const command = [PYTHON, fixture('tenant.py'), '8090', '/data/journal'];
    const rules = 'SET ENV "PLACE" = "/srv/<NAME>"\n';
    const links = ['/data=/srv/<NAME>'];
    writeFileSync(
      file,
      stringify({ name: 'described', rules, links, processes: { web: { command, working_dir: '/' } } }),
    );
    const app = applicationOf(lab, (await lab.succeed('run', '--json', '--file', file)).json<AppView>());
    onTestFinished(() => app.remove());
    await eventually(() => whoIs(lab, app));
    const all = [app, ...(await clones(await templateOf(app), 2))];
    for (const one of all) {
      expect(await variable(one, 'PLACE')).toBe(`/srv/${one.name}`);
      expect(await ask(one, 'keep', one.name)).toMatchObject({ path: `/srv/${one.name}/journal` });
      expect(await ask(one, 'list', `/srv/${one.name}`)).toEqual(['journal']);
    }
  });
});

describe('hooks', () => {
  const PORT = 8080;
  const noticed = async ({ address }: Application): Promise<string[]> =>
    (await getJson<{ noticed: string[] }>({ lab, address }, PORT, '/state')).noticed;

  const greeted = async (rules: string): Promise<string> => {
    const command = [process.execPath, fixture('greeted.js'), String(PORT)];
    const app = await launch(lab, `greeted-${++made}`, { command }, ['--rules', ruleFile(rules)]);
    onTestFinished(() => app.remove());
    await eventually(() => noticed(app));
    return templateOf(app);
  };

  test('have run before the packet that wakes it is let in, and only once', async () => {
    const template = await greeted(`
      ON CLONE RUN "sh -c 'echo $APPSHOT_INSTANCE > /run/number'"
      ON CLONE REQUEST "http://127.0.0.1:${PORT}/cloned"
    `);
    for (const options of [['--asleep'], ['--offline'], []])
      for (const [index, one] of (await clones(template, 2, ...options)).entries()) {
        expect(await noticed(one), `${options.join(' ')} ${index}`).toEqual(['/cloned']);
        await one.sleep();
        expect(await noticed(one)).toEqual(['/cloned']);
        const { stdout } = await lab.succeed('exec', one.name, '--', 'cat', '/run/number');
        expect(stdout.trim()).toBe(one.name.split('-').at(-1));
      }
  });

  test('that fail leave nothing of any of the clones', async () => {
    // The second clone alone fails.
    const template = await greeted(`ON CLONE RUN "sh -c 'test $APPSHOT_INSTANCE != 2'"`);
    const before = await lab.succeed('ps', '--all', '--json');
    const error = failureOf(await lab.appshot('clone', template, '--count', '3', '--json'));
    expect(error.code).toBe('HOOK_FAILED');
    expect(error.message).toContain(`${template}-2`);
    expect((await lab.succeed('ps', '--all', '--json')).json()).toEqual(before.json());
    expect(readdirSync(join(lab.dataDirectory, 'apps')).toSorted()).toEqual(
      before
        .json<AppView[]>()
        .map(({ aid }) => aid)
        .toSorted(),
    );
    expect(await clones(template, 2)).toHaveLength(2);
  });
});

describe('what is wrong', () => {
  const refusal = async (...words: string[]): Promise<ErrorBody> =>
    failureOf(await lab.appshot('--json', ...words));
  const nothing = async (): Promise<void> => {
    expect((await lab.succeed('ps', '--all', '--json')).json()).toEqual([]);
    expect(await templatesOf(lab)).toEqual([]);
    expect(readdirSync(join(lab.dataDirectory, 'apps'))).toEqual([]);
  };

  test.each([
    ['a word that is none', '\nREDIRECT PATH "/a" TO "/b"', 'BAD_RULES', ':2:1: '],
    ['a text without end', 'SET ENV "A" = "b', 'BAD_RULES', ':1:15: '],
    ['a variable that nothing defines', 'SET ENV "A" = "<APPL-ID>"', 'BAD_RULES', ':1:16: '],
    [
      'two rules about one path',
      'REDIR PATH "/a" TO "/srv/1"\nLINK PATH "/a" TO "/srv/2"',
      'BAD_RULES',
      ':2:',
    ],
    ['a variable that is set twice', 'SET ENV "A" = "1"\n\nSET ENV "A" = "2"', 'BAD_RULES', ':3:'],
    ['a class that a type cannot have', 'CLASSIFY ADDRESS AS SHARED', 'BAD_RULES', ':1:'],
    ['a variable that the environment lacks', 'SET ENV "A" = "<ENV:NOBODY>"', 'BAD_RULES', 'NOBODY'],
    ['a target in /proc', 'REDIR PATH "/a" TO "/proc/self"', 'LINK_OUTSIDE', '/proc/self'],
    ['a target that leads out', 'LINK PATH "/a" TO "/srv/../../etc"', 'LINK_OUTSIDE', '/srv/../../etc'],
    ['a path that follows the identity', 'LINK PATH "/etc/hosts" TO "/srv/hosts"', 'BAD_RULES', ':1:12: '],
  ])('%s is refused with its place', async (_, text, code, words) => {
    const file = ruleFile(text);
    const error = await refusal('run', '--name', 'wrong', '--rules', file, '--', 'sleep', '600');
    expect(error).toMatchObject({ code });
    expect(error.message).toContain(words.startsWith(':') ? file + words : words);
    await nothing();
  });

  test('links are checked as rules are', async () => {
    for (const [link = '', code] of [
      ['/data=/proc/1', 'LINK_OUTSIDE'],
      ['/data=/srv/<NOBODY>', 'BAD_RULES'],
      ['data=/srv', 'USAGE'],
    ])
      expect({ link, code: (await refusal('run', '--link', link, '--', 'sleep', '600')).code }).toEqual({
        link,
        code,
      });
    await nothing();
  });

  test('templates and clones that cannot be are refused, and nothing changes', async () => {
    const app = await tenant();
    await makeTemplate(lab, 'good', app);
    onTestFinished(() => removeTemplate(lab, 'good'));
    const taken = await makeClone(lab, 'good', '--name', 'taken');
    onTestFinished(() => taken.remove());
    const before = (await lab.succeed('ps', '--all', '--json')).json();
    const bad = ruleFile('\n  SET ENV "A" = <B>');
    const cases: [string[], string, string?][] = [
      [['clone', 'nobody'], 'TEMPLATE_NOT_FOUND'],
      [['clone', 'good', '--name', 'taken'], 'NAME_TAKEN'],
      [['clone', 'good', '--count', '2', '--name', 'x/y'], 'BAD_REQUEST'],
      [['clone', 'good', '--count', '0'], 'USAGE'],
      [['template', 'create', 'good', '--from', app.name], 'TEMPLATE_TAKEN'],
      [['template', 'create', 'other', '--from', 'nobody'], 'APP_NOT_FOUND'],
      [['template', 'create', 'other', '--from', `${app.name}@ZZZZ`], 'SNAPSHOT_NOT_FOUND'],
      [['template', 'create', 'other', '--from', app.name, '--rules', bad], 'BAD_RULES', `${bad}:2:18`],
      [['template', 'inspect', 'nobody'], 'TEMPLATE_NOT_FOUND'],
      [['template', 'rm', 'nobody'], 'TEMPLATE_NOT_FOUND'],
      [['template', 'rm', 'good'], 'TEMPLATE_IN_USE', 'taken'],
    ];
    for (const [words, code, place = ''] of cases) {
      const error = await refusal(...words);
      expect({ words, code: error.code }).toEqual({ words, code });
      expect(error.message).toContain(place);
    }
    expect((await lab.succeed('ps', '--all', '--json')).json()).toEqual(before);
    expect((await templatesOf(lab)).map(({ name, clones: all }) => [name, all])).toEqual([['good', 1]]);
  });

  test('what cannot be in two places is named', async () => {
    const volume = join(lab.directory, 'volume');
    mkdirSync(volume, { recursive: true });
    const app = await tenant({ options: ['--volume', `${volume}:/srv/volume`] });
    await lab.succeed('exec', app.name, '--', 'mkfifo', '/srv/volume/fifo');
    const holder = await launch(
      lab,
      'holder',
      { command: ['sh', '-c', 'exec 3<>/srv/volume/fifo; exec sleep 600'] },
      ['--volume', `${volume}:/srv/volume`],
    );
    onTestFinished(() => holder.remove());
    const error = await eventually(() => refusal('template', 'create', 'never', '--from', 'holder'));
    expect(error.code).toBe('TEMPLATE_REFUSED');
    expect(error.message).toContain('/srv/volume/fifo');
    expect((await templatesOf(lab)).map(({ name }) => name)).not.toContain('never');
    expect(await holder.state()).toBe('running');
  });

  test('a template whose layer is damaged or missing starts nobody', async () => {
    const app = await launchTenant(lab, 'whole');
    await makeTemplate(lab, 'damaged', app);
    await app.remove();
    await lab.succeed('gc');
    const directory = join(lab.dataDirectory, 'layers');
    const [layer = ''] = readdirSync(directory);
    const path = join(directory, layer);
    const whole = readFileSync(path);
    renameSync(path, `${path}.away`);
    expect((await refusal('clone', 'damaged', '--count', '3')).code).toBe('SNAPSHOT_CORRUPT');
    writeFileSync(path, whole.subarray(0, -4096));
    expect((await refusal('clone', 'damaged')).code).toBe('SNAPSHOT_CORRUPT');
    expect((await lab.succeed('ps', '--all', '--json')).json()).toEqual([]);
    expect(readdirSync(join(lab.dataDirectory, 'apps'))).toEqual([]);
    renameSync(`${path}.away`, path);
    const one = await makeClone(lab, 'damaged');
    expect((await whoIs(lab, one)).hostname).toBe(one.name);
    await one.remove();
    await removeTemplate(lab, 'damaged');
  });
});
