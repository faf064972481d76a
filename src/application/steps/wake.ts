/** Steps that wake an application from its snapshot. Nothing here starts a process: the engine already waits. */
import { closeSync, openSync } from 'node:fs';
import { EngineSession, restoreOptions } from '../../criu/index.ts';
import type { OnStage, Stages } from '../../criu/index.ts';
import { PASSED_DESCRIPTORS } from '../../environments/index.ts';
import type { Environment } from '../../environments/index.ts';
import { boottimeNow, monotonicNow } from '../../kernel/index.ts';
import { greet, pokeMemory, prepareBirth } from '../cloning/birth.ts';
import { closeWithOthers } from '../closing.ts';
import { environmentOf } from '../context.ts';
import type { Work } from '../context.ts';
import { engineFailure } from '../evidence.ts';
import { checkFingerprint } from '../fingerprint.ts';
import { fillRestored, prepareMemory } from '../memory.ts';
import { reachableOf } from '../sleepers.ts';
import { readTouched } from '../touched.ts';
import type { Executor } from './executor.ts';

/** Nothing is started from a snapshot that is not what was saved. */
export const verify: Executor = {
  run: async (work) => {
    const { house, record } = work;
    if (record.snapshot === null) throw new Error(`${record.name} is asleep without a snapshot`);
    await prepareMemory(work, record.snapshot);
    if (work.closeConnections) closeWithOthers(work, record.snapshot);
    prepareBirth(work);
    if (work.manifest) await checkFingerprint(house, record, work.manifest, work.force ?? false);
  },
};

/** While it is restored: daemons come back as children of the chain's first process, and memory is there before anybody looks. */
const stageHandler =
  (work: Work, environment: Environment, orphans: boolean): OnStage =>
  async (stage, pid) => {
    if (orphans && stage === 'setup-namespaces' && pid !== undefined) await environment.makeSubreaper(pid);
    if (stage === 'post-restore') {
      await fillRestored(work, environment);
      pokeMemory(work, environment);
      if (work.woken?.mode === 'lazy') await environment.guardLazily();
    }
    return true;
  };

const stagesOf = (work: Work, environment: Environment, orphans: boolean): Stages => ({
  tell: [
    ...(orphans ? ['setup-namespaces'] : []),
    ...(work.fillings || work.birth?.pokes.length ? ['post-restore'] : []),
  ],
  guard: work.woken?.mode === 'layer',
  onStage: stageHandler(work, environment, orphans),
});

/** Brings the processes back: clocks go on where they stopped, process IDs too. Undone with the environment. */
export const restore: Executor = {
  run: async (work) => {
    const { house, record, manifest, images } = work;
    if (!manifest || !images) throw new Error('no snapshot was verified');
    const environment = environmentOf(work);
    const { clocks, processes } = manifest;
    const log = house.layout.application(record.aid).engineLog;
    const descriptors = [images, log].map((path) => openSync(path, 'r'));
    try {
      const clocksSet = environment.setClockOffsets(
        BigInt(clocks.monotonic) - monotonicNow(),
        BigInt(clocks.boottime) - boottimeNow(),
      );
      const options = restoreOptions({
        imagesFd: PASSED_DESCRIPTORS.images,
        workFd: PASSED_DESCRIPTORS.work,
        closeConnections: work.closeConnections ?? false,
      });
      const restoring = new EngineSession(house.schema, environment.engine).restore(
        options,
        descriptors,
        stagesOf(work, environment, processes.orphans),
      );
      // Whatever ends this step early, the engine's own end is not news any more.
      restoring.catch(() => undefined);
      // The engine's last words come milliseconds after the processes go on, and nobody should wait for them.
      environment.on({
        resuming: () => {
          // What must happen before the first packet has not happened yet.
          if (work.birth?.hooks.length) return;
          house.networks.connect(record.address, environment);
          work.connected = true;
        },
      });
      readTouched(work);
      house.faults.at('wake', 'restore', 'during', environment);
      // PID 1 does one thing after another, so the engine joins clocks that are set; whether they are is known by now.
      const [pid] = await Promise.all([restoring, clocksSet]);
      await environment.adopt(pid, processes.last);
      await greet(work, environment);
    } catch (error) {
      throw await engineFailure(work, 'restore.log', error);
    } finally {
      environment.on({ resuming: () => undefined });
      descriptors.forEach((fd) => closeSync(fd));
    }
  },
  undo: async (work) => {
    const { house, record, connected, environment } = work;
    if (connected !== true || !environment) return;
    house.networks.disconnect(record.address, environment);
    const reachable = reachableOf({ ...record, state: 'asleep' });
    if (reachable) house.networks.close(record.address, reachable);
    work.connected = false;
  },
};
