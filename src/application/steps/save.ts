/** The step that saves: the engine freezes the processes and writes their images, and holds them until somebody has decided. */
import { closeSync, openSync, readFileSync } from 'node:fs';
import { newId } from '../../common/index.ts';
import { EngineSession, dropGuard, dropUserNamespace, dumpOptions } from '../../criu/index.ts';
import { DUMP_DESCRIPTORS, insidePath, startOutsideEngine } from '../../environments/index.ts';
import type { OutsideEngine } from '../../environments/index.ts';
import { boottimeNow, monotonicNow } from '../../kernel/index.ts';
import { separateLayers } from '../../snapshots/index.ts';
import type { Manifest } from '../../snapshots/index.ts';
import { environmentOf, turnBack } from '../context.ts';
import type { HeldDump, Work } from '../context.ts';
import { forgetCommon } from '../cloning/shared.ts';
import { engineFailure } from '../evidence.ts';
import { isShared, sharedOf } from '../identity.ts';
import { hasOrphans, savedBytes, systemPid } from '../processes.ts';
import type { Executor } from './executor.ts';

const offsetsOf = (pid: number): { monotonic: bigint; boottime: bigint } => {
  const offset = (name: string): bigint => {
    const text = readFileSync(`/proc/${pid}/timens_offsets`, 'utf8');
    const [, seconds = '0', nanoseconds = '0'] =
      new RegExp(`^${name}\\s+(-?\\d+)\\s+(\\d+)`, 'm').exec(text) ?? [];
    return BigInt(seconds) * 1_000_000_000n + BigInt(nanoseconds);
  };
  return { monotonic: offset('monotonic'), boottime: offset('boottime') };
};

/** The application's own clocks: the machine's, shifted as its time namespace is. */
const clocksOf = (pid: number): Manifest['clocks'] => {
  const offsets = offsetsOf(pid);
  return {
    monotonic: String(monotonicNow() + offsets.monotonic),
    boottime: String(boottimeNow() + offsets.boottime),
  };
};

const openDirectory = (work: Work, path: string): number => {
  const fd = openSync(path, 'r');
  work.closers.push(() => closeSync(fd));
  return fd;
};

/** Starts the engine that saves, with the directories of a snapshot. */
const startEngine = async (work: Work, images: string): Promise<OutsideEngine> => {
  const { house, record } = work;
  return startOutsideEngine(
    house.engine.init,
    environmentOf(work).pid,
    house.engine.command.map((part) => insidePath(house.engineDirectory, part)),
    {
      images: openDirectory(work, images),
      work: openDirectory(work, house.layout.application(record.aid).engineLog),
    },
  );
};

/**
 * Freezes and saves the processes, and returns while the engine still holds them: letting go of it with `false`, or its end, lets
 * them go on where they were.
 */
const dump = async (work: Work, snapshot: string): Promise<HeldDump> => {
  const { house, record } = work;
  const environment = environmentOf(work);
  const root = Number(record.data['rootPid']);
  const last = await environment.lastPid();
  const chain = systemPid(house, environment, root);
  const pids = house.processesIn(environment.id);
  const orphans = hasOrphans(pids);
  const engine = await startEngine(work, house.store.begin(snapshot, savedBytes(pids)));
  const verdict = Promise.withResolvers<boolean>();
  const saved = Promise.withResolvers<void>();
  let frozenAt = 0;
  let clocks: Manifest['clocks'] | undefined;
  const options = dumpOptions({
    pid: root,
    imagesFd: DUMP_DESCRIPTORS.images,
    workFd: DUMP_DESCRIPTORS.work,
  });
  // The engine and the guard trace the same processes, and one would keep the other out.
  await environment.holdGuard();
  const answer = new EngineSession(house.schema, engine.channel).dump(options, (stage) => {
    house.faults.at(record.operation ?? 'sleep', 'save', stage, environment);
    if (stage === 'pre-dump') frozenAt = performance.now();
    if (stage === 'query-ext-files') clocks = clocksOf(chain);
    if (stage !== 'post-dump') return !work.wanted;
    saved.resolve();
    return verdict.promise;
  });
  // An answer before the images are complete is a refusal; an end without one is the engine's death.
  answer.then(
    () => saved.reject(undefined),
    (error: unknown) => {
      work.lost = error;
      saved.reject(error);
    },
  );
  const ended = answer.then(
    () => true,
    () => false,
  );
  work.release = async () => {
    verdict.resolve(false);
    const answered = await ended;
    await engine.started.exited;
    return answered;
  };
  await saved.promise;
  if (!clocks) throw new Error('the engine saved without freezing');
  return { snapshot, frozenAt, clocks, processes: { root, last, orphans } };
};

/** Lets what was frozen go on. */
export const resume = async (work: Work): Promise<void> => {
  const answered = (await work.release?.()) ?? true;
  if (!answered) await mend(work);
  await work.environment?.releaseGuard();
};

/**
 * An engine that was killed may leave sockets half-way: silent, as it needs them while it saves. Another one that freezes and
 * lets go at once sets them right.
 */
const mend = async (work: Work): Promise<void> => {
  const snapshot = newId();
  try {
    await dump(work, snapshot);
    await work.release?.();
  } catch (err) {
    work.house.log.error({ err, aid: work.record.aid }, 'mending after the end of an engine failed');
  } finally {
    await work.house.store.remove(snapshot);
  }
};

/** What the engine wrote becomes what it can restore inside the application's own namespaces. */
const prepareDump = async (work: Work, images: string): Promise<void> => {
  const { schema } = work.house;
  const { record } = work;
  if (sharedOf(record).length > 0) forgetCommon(schema, images, (path) => isShared(record, path));
  await dropUserNamespace(schema, images);
  await dropGuard(schema, images, await environmentOf(work).guardFilter());
  separateLayers(schema, images);
};

export const save: Executor = {
  run: async (work) => {
    work.snapshot = newId();
    try {
      work.held = await dump(work, work.snapshot);
      await prepareDump(work, work.house.store.draftImages(work.snapshot));
    } catch (error) {
      turnBack(work);
      throw await engineFailure(work, 'dump.log', error);
    }
  },
  undo: async (work) => {
    await resume(work);
    if (work.snapshot) await work.house.store.remove(work.snapshot);
  },
};
