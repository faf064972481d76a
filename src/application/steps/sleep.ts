/**
 * Steps that put an application to sleep. Until `commit` has changed the registry every one of them can be taken back, and the
 * application goes on; at every instant either its processes or a complete snapshot exist.
 */
import { closeSync, openSync, readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { AppShotError, newId } from '../../common/index.ts';
import { EngineSession, dropUserNamespace, dumpOptions } from '../../criu/index.ts';
import { DUMP_DESCRIPTORS, insidePath, startOutsideEngine } from '../../environments/index.ts';
import type { OutsideEngine } from '../../environments/index.ts';
import { boottimeNow, monotonicNow } from '../../kernel/index.ts';
import { networkUse } from '../../resources/index.ts';
import type { Manifest, Reachable } from '../../snapshots/index.ts';
import { environmentOf } from '../context.ts';
import type { HeldDump, Work } from '../context.ts';
import { engineFailure } from '../evidence.ts';
import { hasOrphans, systemPid } from '../processes.ts';
import { findBlockers } from '../check.ts';
import type { Executor } from './executor.ts';

/** How long a connection that is being made, or data that is not acknowledged, may delay a sleep; and how often to look. In ms. */
const SETTLE = { patience: 1000, interval: 5 } as const;

const turnBack = (work: Work): void => {
  if (work.wanted) throw new AppShotError('TURNED_BACK', { name: work.record.name });
};

/** Names what blocks a snapshot before anything is touched (mission E6). */
export const check: Executor = {
  run: async (work) => {
    const blockers = findBlockers(work.house, work.record, environmentOf(work));
    if (blockers.length === 0) return;
    const reasons = blockers.map(({ what }) => what).join('; ');
    throw new AppShotError('BLOCKED', { name: work.record.name, reasons }, { details: { blockers } });
  },
};

/** What the sleeping application can be reached by, from its sockets, and what is under way there. */
const lookAtNetwork = (work: Work): { reachable: Reachable; inFlight: number; unsent: number } => {
  const { listening, connections, inFlight, unsent } = networkUse(environmentOf(work).diagnosis);
  return { reachable: { listening: [...listening], connections: [...connections] }, inFlight, unsent };
};

/**
 * Waits for handshakes and acknowledgements under way: a half-made connection would be lost, and a late acknowledgement would
 * be taken for a request. A peer that never answers does not keep it awake. Then only what means something can reach it.
 */
export const settle: Executor = {
  run: async (work) => {
    const end = performance.now() + SETTLE.patience;
    let now = lookAtNetwork(work);
    while (now.inFlight + now.unsent > 0 && performance.now() < end) {
      await delay(SETTLE.interval);
      now = lookAtNetwork(work);
    }
    work.reachable = now.reachable;
    work.house.network.close(work.record.address, now.reachable);
  },
  undo: async (work) => {
    work.house.network.connect(work.record.address, environmentOf(work));
  },
};

/** Off the bridge: nothing is acknowledged from here on. What arrived at the last moment is looked at once more. */
export const disconnect: Executor = {
  run: async (work) => {
    const { network } = work.house;
    network.disconnect(work.record.address, environmentOf(work));
    const { reachable, inFlight } = lookAtNetwork(work);
    work.reachable = reachable;
    network.close(work.record.address, reachable);
    work.wanted ||= inFlight > 0;
    turnBack(work);
  },
};

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
  const orphans = hasOrphans(house.processesIn(environment.id));
  const engine = await startEngine(work, await house.store.begin(snapshot));
  const verdict = Promise.withResolvers<boolean>();
  const saved = Promise.withResolvers<void>();
  let frozenAt = 0;
  let clocks: Manifest['clocks'] | undefined;
  const options = dumpOptions({
    pid: root,
    imagesFd: DUMP_DESCRIPTORS.images,
    workFd: DUMP_DESCRIPTORS.work,
  });
  const answer = new EngineSession(house.schema, engine.channel).dump(options, (stage) => {
    house.faults.at('sleep', 'save', stage, environment);
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

export const save: Executor = {
  run: async (work) => {
    work.snapshot = newId();
    try {
      work.held = await dump(work, work.snapshot);
      await dropUserNamespace(work.house.schema, work.house.store.draftImages(work.snapshot));
    } catch (error) {
      turnBack(work);
      throw await engineFailure(work, 'dump.log', error);
    }
  },
  undo: async (work) => {
    const answered = (await work.release?.()) ?? true;
    if (!answered) await mend(work);
    if (work.snapshot) await work.house.store.remove(work.snapshot);
  },
};

/** Makes the snapshot the application's state: from here on it is asleep, whatever happens to the processes. */
export const commit: Executor = {
  run: async (work) => {
    const { house, record, held, reachable } = work;
    if (!held || !reachable) throw new Error('nothing was saved');
    const sealed = await house.store.seal(held.snapshot, {
      aid: record.aid,
      parent: null,
      engine: { version: house.engine.version },
      memory: { mode: 'copy' },
      clocks: held.clocks,
      processes: held.processes,
      reachable,
    });
    turnBack(work);
    if (work.lost !== undefined) throw await engineFailure(work, 'dump.log', work.lost);
    const { manifest, digest, bytes } = sealed;
    const committed = await house.registry.commitSleep(
      record.aid,
      record.epoch,
      {
        id: held.snapshot,
        aid: record.aid,
        takenAt: manifest.takenAt,
        bytes,
        parent: null,
        manifest: `snapshots/${held.snapshot}/manifest.json`,
        digest,
        pinned: false,
      },
      { snapshot: held.snapshot, failure: null, data: { reachable } },
    );
    if (!committed) throw new Error('the application changed hands');
    work.committed = true;
    work.bytes = bytes;
    work.record = committed;
  },
};

/** Ends every process and returns the environment; the snapshot before this one is not needed any more. */
export const end: Executor = {
  run: async (work) => {
    const { house, record } = work;
    if (work.environment) await house.pool.discard(work.environment);
    delete work.environment;
    // The engine that held the processes has ended with them; until it is gone it keeps the application's root in use.
    await work.release?.();
    work.record = await house.registry.update(record.aid, { environment: null });
    for (const { id } of await house.registry.listSnapshots(record.aid)) {
      if (id === record.snapshot) continue;
      await house.store.remove(id);
      await house.registry.removeSnapshot(id);
    }
  },
};
