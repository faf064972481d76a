/**
 * What the engine finds out about the kernel, kept so that it need not find it out at each start (30 to 80 ms).
 *
 * It keeps it only on a tmpfs, in XDG_RUNTIME_DIR. Ours has no place in any tree: PID 1 of every environment holds it as descriptor 3.
 * Inside and outside a user namespace the engine finds different things, hence two directories.
 */
import { mkdirSync } from 'node:fs';
import { EngineSession, restoreOptions } from '../criu/index.ts';
import type { Schema } from '../criu/index.ts';
import { close, openFd, tmpfs } from '../kernel/index.ts';
import { DUMP_DESCRIPTORS, startOutsideEngine } from './engine-outside.ts';
import { PASSED_DESCRIPTORS } from './environment.ts';
import type { Environment, Workshop } from './environment.ts';

/** A new, empty place for probes; the descriptor keeps it. */
export const makeProbes = (): number => {
  const descriptor = tmpfs({ mode: 0o700 });
  for (const name of ['restore', 'dump']) mkdirSync(`/proc/self/fd/${descriptor}/${name}`);
  return descriptor;
};

/** Lets both engines look once, in an environment that is nobody's; it is used up. */
export const warmUp = async (shop: Workshop, schema: Schema, environment: Environment): Promise<void> => {
  const directory = openFd(environment.directory);
  try {
    const closeConnections = false;
    const inside = { closeConnections, imagesFd: PASSED_DESCRIPTORS.images, workFd: PASSED_DESCRIPTORS.work };
    await new EngineSession(schema, environment.engine).probe(restoreOptions(inside), [directory, directory]);
    const engine = await startOutsideEngine(shop.init, environment.pid, shop.engine, {
      images: directory,
      work: directory,
    });
    const outside = { closeConnections, imagesFd: DUMP_DESCRIPTORS.images, workFd: DUMP_DESCRIPTORS.work };
    await new EngineSession(schema, engine.channel).probe(restoreOptions(outside), []);
    await engine.started.exited;
  } finally {
    close(directory);
  }
};
