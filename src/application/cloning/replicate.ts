/**
 * The replication program of figure 9: from a template it writes new snapshots, each of a new application that needs the template's
 * files no more. They sleep; what memory must be told at the first wake travels with the snapshot.
 */
import type { CloneView } from '../../api/index.ts';
import type { ApplicationRecord } from '../../registry/index.ts';
import type { Applications } from '../applications.ts';
import type { House } from '../context.ts';
import { identityOf, originOf } from '../identity.ts';
import { settleRegistered } from '../settle-in.ts';
import { viewOf } from '../views.ts';
import { personaliseFiles } from './birth.ts';
import { discardAll } from './clone.ts';
import type { Mould } from './clone.ts';
import { evaluateRules } from './evaluate.ts';
import { blankedTree } from './shared.ts';

const replicateOne = async (
  house: House,
  { template, manifest, facts, rules }: Mould,
  registered: ApplicationRecord,
): Promise<ApplicationRecord> => {
  const origin = originOf(registered);
  const evaluated = evaluateRules(rules, identityOf(registered), registered.spec);
  const own = await house.registry.update(registered.aid, {
    snapshot: null,
    data: { ...evaluated, template: { ...origin, tree: null }, shared: undefined },
  });
  const known = await house.registry.getSnapshot(template.snapshot);
  if (!known) throw new Error(`the template ${template.name} has lost its snapshot`);
  const { record } = await settleRegistered(house, own, {
    manifest: { ...manifest, tree: await blankedTree(house, manifest, facts) },
    image: (file) => house.store.file(known, file),
    kind: 'clone',
    parent: manifest.id,
    name: registered.name,
    hostname: registered.hostname,
    foreign: false,
    force: false,
    edit: (images, application) => personaliseFiles(house, images, application, manifest, facts),
  });
  return record;
};

/** All of them, or none. Fails with `BAD_RULES`, `LINK_OUTSIDE`, `NO_SPACE`, `SNAPSHOT_CORRUPT`. */
export const replicate = async (
  house: House,
  applications: Applications,
  mould: Mould,
  registered: readonly ApplicationRecord[],
): Promise<CloneView[]> => {
  const views: CloneView[] = [];
  try {
    for (const one of registered) {
      const begun = performance.now();
      const record = await house.keeper.exclusively(() => replicateOne(house, mould, one));
      applications.expect(record);
      const instance = originOf(record)?.instance ?? 0;
      views.push({ ...viewOf(record), instance, ms: performance.now() - begun });
    }
    return views;
  } catch (error) {
    await discardAll(house, applications, registered);
    throw error;
  }
};
