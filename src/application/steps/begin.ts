/** Steps that give an application a place to run: files, an environment, its root, its identity. */
import { existsSync, readdirSync, rmSync } from 'node:fs';
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { AppShotError } from '../../common/index.ts';
import { logTail } from '../../criu/index.ts';
import {
  makeApplicationFiles,
  makeRoot,
  preparePlaces,
  sharedRedirects,
  shownPaths,
} from '../../environments/index.ts';
import type { Environment } from '../../environments/index.ts';
import { launchChain, logFile } from '../../harness/index.ts';
import { isErrno } from '../../kernel/index.ts';
import { macOf } from '../../network/index.ts';
import { proclaim } from '../cloning/birth.ts';
import { evaluateRules, readRulesOf } from '../cloning/evaluate.ts';
import { environmentOf } from '../context.ts';

import type { House, Work } from '../context.ts';
import { identityOf, originOf, placesOf, sharedOf, withFilesBeneath } from '../identity.ts';
import { memoryMounts } from '../memory.ts';
import { shownOf } from '../provision.ts';
import { ignoredBy } from '../sleepers.ts';
import type { ApplicationRecord } from '../../registry/index.ts';
import type { ApplicationPaths } from '../../snapshots/index.ts';
import type { Places } from '../../templates/index.ts';
import type { Executor } from './executor.ts';
import { tellNames } from '../naming.ts';

const present = (places: Places): Places | undefined =>
  places.links.length + places.redirects.length === 0 ? undefined : places;

/** Before anything runs: the application's directories, and the files that tell it its name. */
export const files: Executor = {
  run: async (work) => {
    const { house, record } = work;
    const paths = house.layout.application(record.aid);
    await mkdir(paths.engineLog, { recursive: true });
    // Remembered, so that each wake shows the same.
    const shown = shownPaths(record.spec.processes);
    makeApplicationFiles(paths, house.hidden, shown);
    const { places, variables } = evaluateRules(readRulesOf(record.spec), identityOf(record), record.spec);
    const data = { shown, places: present(places), variables };
    tellNames(house, { ...record, data });
    work.record = await house.registry.update(record.aid, { data });
  },
  undo: async ({ house, record }) => {
    await rm(house.layout.application(record.aid).directory, { recursive: true, force: true });
  },
};

/** Takes a ready environment and sets the limits. */
export const environment: Executor = {
  run: async (work) => {
    const { house, record } = work;
    const taken = await house.pool.take();
    work.environment = taken;
    house.limit(taken.id, record.spec.limits);
    work.record = await house.registry.update(record.aid, { environment: taken.id });
  },
  undo: async (work) => {
    const taken = work.environment;
    delete work.environment;
    if (taken) await work.house.pool.discard(taken);
    work.record = await work.house.registry.update(work.record.aid, { environment: null });
  },
};

/** How long the kernel may take to let go of a root that was in use a moment ago, and how often to ask. In ms. */
const RELEASE = { patience: 2000, interval: 5 } as const;

/** False when there was nothing that could be emptied. */
const emptyWork = ({ work, shmWork, shown }: ApplicationPaths): boolean => {
  const places = existsSync(shown) ? readdirSync(shown).map((name) => join(shown, name, 'work')) : [];
  const left = [work, shmWork, ...places]
    .filter((path) => existsSync(path))
    .flatMap((path) => readdirSync(path).map((name) => join(path, name)));
  for (const path of left) rmSync(path, { recursive: true });
  return left.length > 0;
};

/** What a clone has together with the others of its template. */
const sharedDirectory = ({ layout }: House, record: ApplicationRecord): string | undefined => {
  const origin = originOf(record);
  return origin === undefined || sharedOf(record).length === 0
    ? undefined
    : layout.template(origin.id).shared;
};

const rootOf = async (work: Work): Promise<ReturnType<typeof makeRoot>> => {
  const { house, record } = work;
  const { engineDirectory: engine, layout } = house;
  const paths = layout.application(record.aid);
  for (const end = performance.now() + RELEASE.patience; ;)
    try {
      return withFilesBeneath(house, record, (beneath) =>
        makeRoot({
          engine,
          files: paths,
          beneath,
          volumes: record.spec.volumes,
          shown: shownOf(record.data),
          shared: sharedDirectory(house, record),
          memory: memoryMounts(work),
        }),
      );
    } catch (error) {
      // The processes of a daemon that was killed may hold it still: nothing tells when they have gone.
      if (isErrno(error, 'EBUSY') && performance.now() < end) await delay(RELEASE.interval);
      // The work directory refers to the upper one by file handles, which another disk or copy does not have.
      else if (isErrno(error, 'ESTALE') && performance.now() < end && emptyWork(paths)) continue;
      else throw error;
    }
};

/** The root, its mounts, the host name. Undone with the environment. */
export const root: Executor = {
  run: async (work) => {
    const { record } = work;
    using made = await rootOf(work);
    const places = placesOf(record);
    // Later they are the application's own, which may have put something else there.
    if (places && (record.operation === 'run' || work.birth))
      await preparePlaces(made, places, work.birth?.previous);
    const redirects = [...sharedRedirects(sharedOf(record)), ...(places?.redirects ?? [])];
    await environmentOf(work).giveRoot(record.hostname, made.root, made.mounts, redirects);
  },
};

/** The virtual address, on an interface that nobody can reach yet. Undone with the environment. */
export const identity: Executor = {
  run: async (work) => {
    const { address } = work.record;
    const { networks } = work.house;
    const { cidr, gateway } = networks.of(address).bridge;
    const ignored = ignoredBy(work.record);
    networks.ignore(address, ignored);
    environmentOf(work).giveAddress({
      address,
      prefix: cidr.prefix,
      gateway,
      gatewayMac: macOf(gateway),
      mac: macOf(address),
      ignored,
    });
  },
};

/** How long a chain must live to count as started, in ms: a program that refuses its arguments ends well within it. */
const FIRST_BREATH = 100;

/** Waits for an early end; undefined when there was none. */
const earlyEnd = async (taken: Environment): Promise<number | undefined> => {
  const ended = Promise.withResolvers<number>();
  taken.on({ chainEnded: (status) => ended.resolve(status) });
  const breath = new AbortController();
  const lived = delay(FIRST_BREATH, undefined, { signal: breath.signal }).catch(() => undefined);
  const status = await Promise.race([ended.promise, lived]);
  breath.abort();
  return status;
};

/** Starts the chain. Undone with the environment. */
export const launch: Executor = {
  run: async (work) => {
    const { house, record } = work;
    const { init } = house.engine;
    const taken = environmentOf(work);
    const pid = await launchChain(taken, record.spec, identityOf(record), init, house.engineDirectory);
    const status = await earlyEnd(taken);
    if (status !== undefined) throw await startFailure(work, status);
    work.record = await house.registry.update(record.aid, { data: { rootPid: pid } });
  },
};

const startFailure = async ({ house, record }: Work, status: number): Promise<AppShotError> => {
  const process = record.spec.processes[0]?.name ?? record.name;
  const { log } = house.layout.application(record.aid);
  const stderr = await logTail(logFile(log, process, 'stderr'));
  return new AppShotError(
    'START_FAILED',
    { process, status: `status ${status}`, output: stderr.at(-1) ?? 'it printed no error' },
    { details: { stderr } },
  );
};

/** The last step of running and waking: the address answers, and held packets flow. */
export const connect: Executor = {
  run: async (work) => {
    const taken = environmentOf(work);
    if (work.connected !== true) work.house.networks.connect(work.record.address, taken);
    proclaim(work, taken);
  },
};
