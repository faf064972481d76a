/** Making clones: registered together, each given its files, then woken as any sleeper is, a few at a time. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import type { ChainSpec, CloneRequest, CloneView } from '../../api/index.ts';
import { AppShotError } from '../../common/index.ts';
import { makeApplicationFiles } from '../../environments/index.ts';
import { logFile } from '../../harness/index.ts';
import type { ApplicationRecord, Registration, TemplateRecord } from '../../registry/index.ts';
import type { Manifest } from '../../snapshots/index.ts';
import type { Applications } from '../applications.ts';
import type { House } from '../context.ts';
import { identityOf, originOf, withFilesBeneath } from '../identity.ts';
import { reachableAt } from '../settle-in.ts';
import { registerPublished } from '../published.ts';
import { specBeside } from '../roster.ts';
import { viewOf } from '../views.ts';
import { evaluateRules } from './evaluate.ts';
import { templateIn } from './facts.ts';
import type { KnownTemplate } from './facts.ts';
import { giveRuled, sharedPaths } from './shared.ts';
import type { TemplateFacts } from '../../templates/index.ts';
import { tellNames } from '../naming.ts';

/** How many are made at once: the engine works for each while the daemon works for another. */
const LANES = 4;
const LONGEST_NAME = 63;

/** A template as its clones need it. */
export interface Mould extends KnownTemplate {
  readonly template: TemplateRecord;
  readonly manifest: Manifest;
}

/** Fails with `SNAPSHOT_CORRUPT`, also when a layer is missing. */
export const mouldOf = async (house: House, template: TemplateRecord): Promise<Mould> => {
  const snapshot = await house.registry.getSnapshot(template.snapshot);
  const manifest = snapshot && (await house.store.verify(snapshot));
  const known = manifest && templateIn(manifest);
  if (!known) throw new Error(`the template ${template.name} has lost its snapshot`);
  return { template, manifest, ...known };
};

const nameOf = (base: string, number: number): string =>
  `${base.slice(0, LONGEST_NAME - String(number).length - 1).replace(/-+$/, '')}-${number}`;

const specOf = (
  { manifest, facts }: Mould,
  name: string,
  { service, network }: Pick<CloneRequest, 'service' | 'network'>,
): ChainSpec => {
  const { aid: _aid, address: _address, ...spec } = specBeside(manifest.application.spec, service);
  const own = facts.overrides.memory === 'duplicate' ? { memory: 'copy' as const } : {};
  const place = network === undefined ? {} : { network };
  return { ...spec, ...own, ...place, name, hostname: name, rules: facts.rules, links: facts.links };
};

/** How a clone comes to be. */
export interface Making {
  /** By the scheduler, which removes it again when it is not needed. */
  readonly made?: boolean;
}

/** A clone before it has an address. */
const registrationOf = (
  house: House,
  mould: Mould,
  spec: ChainSpec,
  { number: instance, made = false }: Making & { readonly number: number },
): Registration => {
  const { template, manifest, facts } = mould;
  const { name } = spec;
  const shared = sharedPaths(facts);
  return {
    name,
    hostname: name,
    spec,
    network: house.networks.cidrOf(spec.network),
    change: {
      snapshot: template.snapshot,
      data: {
        template: { id: template.id, name: template.name, instance, tree: manifest.tree },
        generation: facts.generation + 1,
        rootPid: manifest.processes.root,
        shown: manifest.application.shown,
        ...(shared.length > 0 && { shared }),
        ...(made && { made }),
      },
    },
  };
};

type Wishes = Pick<CloneRequest, 'count' | 'name' | 'service' | 'network'>;

/** Several names cannot be one name; a single clone may be called as the user likes. */
export const register = async (
  house: House,
  mould: Mould,
  { count, name, service, network, made }: Wishes & Making,
): Promise<ApplicationRecord[]> => {
  const { template } = mould;
  const first = await house.registry.countInstances(template.id, count);
  const registrations = Array.from({ length: count }, (_, index) => {
    const number = first + index;
    const own = count === 1 && name !== undefined ? name : nameOf(name ?? template.name, number);
    return registrationOf(house, mould, specOf(mould, own, { service, network }), { number, made });
  });
  const [one] = registrations;
  if (!one) return [];
  return registerPublished(house, one, () => house.registry.registerApplications(registrations));
};

/** Its own directories, over those of the template. */
const makeFiles = async (house: House, record: ApplicationRecord, facts: TemplateFacts): Promise<void> => {
  const paths = house.layout.application(record.aid);
  mkdirSync(paths.engineLog, { recursive: true });
  withFilesBeneath(house, record, (beneath) =>
    makeApplicationFiles(paths, house.hidden, record.data['shown'] as string[], beneath),
  );
  await giveRuled(house, record, facts);
  tellNames(house, record);
  for (const { name } of record.spec.processes)
    for (const stream of ['stdout', 'stderr'] as const) writeFileSync(logFile(paths.log, name, stream), '');
};

/** A registered clone becomes one that sleeps, and would wake as itself. Fails with `BAD_RULES`, `LINK_OUTSIDE`, `NO_SPACE`. */
const settleClone = async (
  house: House,
  { manifest, rules, template, facts }: Mould,
  registered: ApplicationRecord,
): Promise<ApplicationRecord> => {
  const { places, variables } = evaluateRules(rules, identityOf(registered), registered.spec);
  const data = {
    reachable: reachableAt(manifest.reachable, manifest.application.address, registered.address),
    ...(Object.keys(variables).length > 0 && { variables }),
    ...(places.links.length + places.redirects.length > 0 && { places }),
  };
  await makeFiles(house, { ...registered, data: { ...registered.data, ...data } }, facts);
  const asleep = await house.registry.transition(registered.aid, { states: ['registered'] }, 'asleep', {
    data,
  });
  if (!asleep) throw new Error(`${registered.name} changed hands while it began`);
  house.emit('asleep', asleep, { reason: `clone of ${template.name}` });
  return asleep;
};

const cloneView = (record: ApplicationRecord, begun: number): CloneView => ({
  ...viewOf(record),
  instance: originOf(record)?.instance ?? 0,
  ms: performance.now() - begun,
});

/** One clone from its registration to its last state. */
const bringUp = async (
  house: House,
  applications: Applications,
  mould: Mould,
  registered: ApplicationRecord,
  { memory, asleep = false }: Pick<CloneRequest, 'memory'> & { asleep?: boolean },
): Promise<CloneView> => {
  const begun = performance.now();
  const record = await settleClone(house, mould, registered);
  if (asleep) {
    applications.expect(record);
    return cloneView(record, begun);
  }
  await applications.wake(record.aid, { memory });
  return cloneView(await applications.find(record.aid), begun);
};

/** Takes the tasks a few at a time, in their order; the first failure ends it, when those under way have ended. */
const inLanes = async <T, R>(tasks: readonly T[], take: (task: T) => Promise<R>): Promise<R[]> => {
  const results: R[] = [];
  let next = 0;
  let failed = false;
  const lane = async (): Promise<void> => {
    while (next < tasks.length && !failed) {
      const index = next++;
      try {
        results[index] = await take(tasks[index] as T);
      } catch (error) {
        failed = true;
        throw error;
      }
    }
  };
  const ends = await Promise.allSettled(Array.from({ length: LANES }, lane));
  const failure = ends.find((end) => end.status === 'rejected');
  if (failure) throw failure.reason;
  return results;
};

/** How often a full disk is tried again, in ms. */
const AGAIN = 250;

const discardLater = async (house: House, applications: Applications, aid: string): Promise<void> => {
  for (;;) {
    // The daemon may end meanwhile.
    await delay(AGAIN, undefined, { ref: false });
    try {
      return await applications.discard(aid);
    } catch (err) {
      if (err instanceof AppShotError && err.code === 'NO_SPACE') continue;
      return house.log.error({ err, aid }, 'a clone was left behind');
    }
  }
};

/** Those of which the registry has no room to say that they are gone go as soon as it has. */
export const discardAll = async (
  house: House,
  applications: Applications,
  registered: readonly ApplicationRecord[],
): Promise<void> => {
  for (const { aid } of registered)
    await applications.discard(aid).catch((err: unknown) => {
      house.log.warn({ err, aid }, 'a clone that could not come up is still there');
      void discardLater(house, applications, aid);
    });
};

/** All of them, or none: what had come up goes again when one fails. */
export const bringUpAll = async (
  house: House,
  applications: Applications,
  mould: Mould,
  registered: readonly ApplicationRecord[],
  options: Pick<CloneRequest, 'memory'> & { asleep?: boolean },
): Promise<CloneView[]> => {
  try {
    // Made ahead, beside the wakes that need them.
    using _expected = options.asleep ? undefined : house.pool.expect(registered.length);
    // One change of rules for all; for a single one it costs least while the engine's last words are awaited.
    if (!options.asleep && registered.length > 1)
      house.networks.expect(registered.map(({ address }) => address));
    return await inLanes(registered, (one) => bringUp(house, applications, mould, one, options));
  } catch (error) {
    await discardAll(house, applications, registered);
    throw error;
  }
};
