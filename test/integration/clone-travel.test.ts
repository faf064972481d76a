/** Templates that travel to a host with an empty data directory, in a file and by way of a registry, and are cloned there. */
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { run } from '../../src/exec/index.ts';
import {
  endLab,
  makeClone,
  makeClones,
  makeTemplate,
  removeAll,
  removeTemplate,
  templatesOf,
} from '../support/clones.ts';
import { failureOf } from '../support/failure.ts';
import { startImageRegistry } from '../support/image-registry.ts';
import type { ImageRegistry } from '../support/image-registry.ts';
import { createLab } from '../support/lab.ts';
import type { Lab } from '../support/lab.ts';
import { askLedger, expectCount, launchLedger } from '../support/ledger.ts';
import { askTenant, launchTenant, whoIs } from '../support/tenant.ts';

/** Between the two hosts, and nowhere else. */
const [HERE, THERE] = ['192.0.2.1', '192.0.2.2'];
let here: Lab;
let there: Lab;
let registry: ImageRegistry;

beforeAll(async () => {
  [here, there] = [await createLab(), await createLab()];
  const names = ['netns', here.name, 'type', 'veth', 'peer', 'name', 'road', 'netns', there.name];
  await run('ip', ['link', 'add', 'road', ...names]);
  for (const [{ name }, address] of [
    [here, HERE],
    [there, THERE],
  ] as const) {
    await run('ip', ['-n', name, 'address', 'add', `${address}/30`, 'dev', 'road']);
    await run('ip', ['-n', name, 'link', 'set', 'road', 'up']);
  }
  await Promise.all([here.daemon(), there.daemon()]);
  registry = await startImageRegistry(undefined, {}, { namespace: here.namespace.path, address: HERE });
});

afterAll(async () => {
  await registry[Symbol.asyncDispose]();
  await endLab(here);
  await endLab(there);
});

/** What arrived is a template, and can be cloned without anything of the place where it was made. */
const expectCloneable = async (name: string, count: number): Promise<void> => {
  const all = await makeClones(there, name, 3);
  for (const one of all) {
    expect(await expectCount(there, one, count)).toMatchObject({ hostname: one.name });
    await askLedger(there, one, '/add');
    await one.sleep();
    await expectCount(there, one, count + 1);
  }
  await removeAll(there, all);
  const own = await makeClone(there, name, '--offline');
  await expectCount(there, own, count);
  await own.remove();
};

test('a template in a file arrives on an empty host and is cloned there', async () => {
  const app = await launchLedger(here, 'ledger');
  for (let at = 0; at < 2; at += 1) await askLedger(here, app, '/add');
  const template = 'warm-ledger';
  await makeTemplate(here, template, app);
  const file = join(here.directory, 'template.appshot');
  await here.succeed('template', 'export', template, file);
  await there.succeed('import', file);
  expect((await templatesOf(there)).map(({ name }) => name)).toEqual([template]);
  await expectCloneable(template, 2);
  const refused = failureOf(await there.appshot('import', file, '--json'));
  expect(refused.code).toBe('TEMPLATE_TAKEN');
  await there.succeed('import', file, '--name', 'second');
  await expectCloneable('second', 2);
  for (const name of [template, 'second']) await removeTemplate(there, name);
  await there.succeed('gc');
  expect((await there.succeed('gc', '--json')).json()).toMatchObject({ layers: 0, objects: 0 });
});

test('a template by way of a registry arrives with its rules', async () => {
  const options = ['--link', '/data=/srv/<NAME>'];
  const app = await launchTenant(here, 'tenant', { kept: '/data/journal', options });
  await askTenant(here, app, 'keep', 'source');
  const template = 'warm-tenant';
  await makeTemplate(here, template, app);
  const reference = `${registry.host}/shop/${template}:latest`;
  await here.succeed('template', 'push', template, reference, '--plain-http');
  await there.succeed('pull', reference, '--plain-http', '--name', 'pulled');
  const all = await makeClones(there, 'pulled', 2);
  for (const one of all) {
    const kept = await askTenant(there, one, 'keep', one.name);
    expect(kept).toEqual({ path: `/srv/${one.name}/journal`, words: ['source', one.name] });
    expect((await whoIs(there, one)).identity).toMatchObject({ template: 'pulled', generation: 1 });
  }
  await removeAll(there, all);
  await removeTemplate(there, 'pulled');
});
