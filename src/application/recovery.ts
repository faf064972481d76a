/**
 * After a daemon ended in whatever way: every application is brought back to a state that lasts. What runs is taken hold of, what was
 * under way is finished where its outcome is already there, and undone where it is not.
 */
import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { State } from '../api/index.ts';
import { fillerEnded } from '../environments/index.ts';
import type { Environment } from '../environments/index.ts';
import type { ApplicationChange, ApplicationRecord } from '../registry/index.ts';
import type { Applications } from './applications.ts';
import { templateIn } from './cloning/facts.ts';
import type { House } from './context.ts';
import { depart } from './farewell.ts';
import { removeFiles } from './operations.ts';
import { fillerLock } from './memory.ts';
import { captureFiles } from './files.ts';
import { finishRewind } from './rewind.ts';
import { isEngine, systemPid } from './processes.ts';
import { macOf } from '../network/index.ts';
import { ignoredBy } from './sleepers.ts';

/** The states in which an application may have processes that are worth keeping. */
const ALIVE: readonly State[] = [
  'starting',
  'running',
  'freezing',
  'frozen',
  'thawing',
  'snapshotting',
  'sleeping',
  'waking',
];
/** How long a restore that has lost its daemon may take to end, and how often to look. In ms. */
const RESTORE = { patience: 60_000, interval: 20 } as const;

const IDLE: ApplicationChange = { operation: null, step: null };

interface Case {
  readonly house: House;
  readonly applications: Applications;
  readonly record: ApplicationRecord;
  readonly environment: Environment | undefined;
}

const move = async (
  { house, record }: Case,
  state: State,
  change: ApplicationChange,
): Promise<ApplicationRecord> => {
  const moved = await house.registry.transition(record.aid, { states: [record.state] }, state, {
    ...IDLE,
    ...change,
  });
  if (!moved) throw new Error(`${record.name} changed hands during recovery`);
  house.emit(state, moved, { reason: 'found after a restart of the daemon' });
  return moved;
};

/** It runs on, reachable as before. */
const adopt = async (found: Case, environment: Environment): Promise<void> => {
  const { house, applications, record } = found;
  environment.bind(record.address, macOf(record.address), ignoredBy(record));
  house.networks.connect(record.address, environment);
  environment.filled = fillerEnded(fillerLock(house, record.aid));
  environment.filled.catch(() => undefined);
  await environment.releaseGuard();
  applications.watch(record.state === 'running' ? record : await move(found, 'running', {}), environment);
};

const lose = async (found: Case): Promise<void> => {
  const message = 'its processes ended while no daemon ran';
  const failure = { step: 'recovery', code: 'ENDED', message, at: new Date().toISOString() };
  await move(found, 'failed', { environment: null, failure });
};

/** A daemon that ended right after a sleep has not kept the files; nobody has changed them since. */
const keepFiles = async ({ house, record }: Case): Promise<void> => {
  const snapshot = record.snapshot && (await house.registry.getSnapshot(record.snapshot));
  if (!snapshot || snapshot.durable || snapshot.tree !== null || snapshot.kind !== 'sleep') return;
  await house.keeper
    .capturing(async () => {
      await house.registry.updateSnapshot(snapshot.id, { tree: await captureFiles(house, record) });
    })
    .catch((err: unknown) => house.log.error({ err, aid: record.aid }, 'its files could not be kept'));
};

const keepAsleep = async (found: Case): Promise<void> => {
  const { house, applications, record, environment } = found;
  if (environment) await house.pool.discard(environment);
  await keepFiles(found);
  const change = { environment: null, ...IDLE };
  const asleep =
    record.state === 'asleep'
      ? await house.registry.update(record.aid, change)
      : await move(found, 'asleep', change);
  applications.expect(asleep);
};

/** The restore may be complete although nobody was there to hear of it: then it must not be thrown away. */
const finishWake = async (found: Case, environment: Environment): Promise<void> => {
  const { house, record } = found;
  const state = await environment.stateFound();
  if (state === 'ready' || state === 'rooted') return keepAsleep(found);
  const restoring = (): boolean =>
    house.processesIn(environment.id).some((pid) => isEngine(house.engine, pid));
  const end = performance.now() + RESTORE.patience;
  while (restoring() && performance.now() < end) await delay(RESTORE.interval);
  const snapshot = record.snapshot && (await house.registry.getSnapshot(record.snapshot));
  if (!snapshot || restoring()) return keepAsleep(found);
  const manifest = await house.store.verify(snapshot);
  // Hooks of a clone may not have run, and nobody has reached it: it is born again by its next packet.
  if (
    templateIn(manifest)?.rules.hooks.length &&
    !house.networks.of(record.address).bridge.holds(environment.link)
  )
    return keepAsleep(found);
  const { processes } = manifest;
  try {
    systemPid(house, environment, processes.root);
  } catch {
    return keepAsleep(found);
  }
  await environment.adopt(processes.root, processes.last);
  await adopt(found, environment);
};

const removeAll = async ({ house, record, environment }: Case): Promise<void> => {
  if (environment) await house.pool.discard(environment);
  await house.registry.remove(record.aid);
  await removeFiles(house, record);
  house.emit('removed', record, { reason: 'it had not begun when the daemon ended' });
};

const recoverOne = async (found: Case): Promise<void> => {
  const { house, applications, record, environment } = found;
  switch (record.state) {
    case 'registered':
      return removeAll(found);
    case 'starting': {
      const launched = environment && record.data['rootPid'] !== undefined;
      return launched ? adopt(found, environment) : removeAll(found);
    }
    case 'running':
    // The next daemon has thawed it: nobody could have.
    case 'freezing':
    case 'frozen':
    case 'thawing':
    case 'sleeping':
    case 'snapshotting':
      return environment ? adopt(found, environment) : lose(found);
    case 'waking':
      return environment ? finishWake(found, environment) : keepAsleep(found);
    case 'asleep':
      return keepAsleep(found);
    case 'rewinding':
      applications.expect(await finishRewind(house, record));
      return;
    case 'stopping':
      await depart(found);
      if (environment) await house.pool.discard(environment);
      await move(found, 'stopped', { environment: null });
      return;
    case 'stopped':
    case 'failed':
  }
};

const sweepFiles = async (house: House, records: readonly ApplicationRecord[]): Promise<void> => {
  await house.store.sweep(await house.registry.listSnapshots());
  await house.objects.sweepDrafts();
  const aids = new Set(records.map(({ aid }) => aid));
  const templates = new Set((await house.registry.listTemplates()).map(({ id }) => id));
  for (const name of await readdir(house.layout.templates))
    if (!templates.has(name)) await rm(join(house.layout.templates, name), { recursive: true, force: true });
  for (const name of await readdir(house.layout.applications))
    if (!aids.has(name)) await rm(join(house.layout.applications, name), { recursive: true, force: true });
};

/** Runs before the daemon answers anybody. A failure with one application is logged and leaves it as it was. */
export const recover = async (house: House, applications: Applications): Promise<void> => {
  const records = await house.registry.list();
  const wanted = records
    .filter(({ state }) => ALIVE.includes(state))
    .flatMap(({ environment }) => environment ?? []);
  const environments = await house.pool.recover(new Set(wanted));
  for (const record of records) {
    const environment = record.environment === null ? undefined : environments.get(record.environment);
    try {
      await recoverOne({ house, applications, record, environment });
    } catch (err) {
      house.log.error({ err, aid: record.aid, state: record.state }, 'recovery failed');
    }
  }
  await sweepFiles(house, await house.registry.list());
};
