/**
 * The way back from layers: images whose processes have anonymous memory again, and what must be put into it before they run, or when
 * they first touch it (the modes `copy` and `lazy` of a folded snapshot).
 */
import { copyFileSync, existsSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { decodeImage, encodeImage, readPagemap } from '../../criu/index.ts';
import type { Schema } from '../../criu/index.ts';
import { joinParts, layerFiles, mappingsOf, placeRuns, unmapLayer } from './memory.ts';
import { runsWithin } from './pieces.ts';

/** A part of a process's memory, in bytes, and where its contents are. */
export interface Filling {
  readonly start: number;
  readonly length: number;
  /** Name of the layer. */
  readonly layer: string;
  readonly offset: number;
}

export interface ProcessFilling {
  /** Inside the application. */
  readonly pid: number;
  readonly fillings: readonly Filling[];
  /** Ranges within them whose contents the engine restores itself. */
  readonly present: readonly { start: number; length: number }[];
}

/** Writes the changed images to `target`, all others as they are. Synchronous: some milliseconds for each process. */
export const makeAnonymous = (schema: Schema, images: string, target: string): ProcessFilling[] => {
  const read = (name: string): Buffer => readFileSync(join(images, name));
  const layers = layerFiles(decodeImage(schema, 'files.img', read('files.img')));
  const filled: ProcessFilling[] = [];
  for (const name of readdirSync(images)) {
    const pid = Number(/^mm-(\d+)\.img$/.exec(name)?.[1]);
    if (!(pid > 0) || !existsSync(join(images, `pagemap-${pid}.img`))) {
      copyFileSync(join(images, name), join(target, name));
      continue;
    }
    const mm = decodeImage(schema, name, read(name));
    const runs = placeRuns(readPagemap(`pagemap-${pid}.img`, read(`pagemap-${pid}.img`)).runs);
    const layered = mappingsOf(mm, layers).filter(({ layer }) => layer !== undefined);
    const fillings = layered.flatMap(({ start, end, layer }) =>
      layer ? [{ start, length: end - start, layer: layer.name, offset: layer.offset }] : [],
    );
    const present = layered.flatMap(({ start, end }) =>
      [...runsWithin(runs, start, end)].map((run) => ({ start: run.start, length: run.end - run.start })),
    );
    layered.forEach(unmapLayer);
    joinParts(mm);
    writeFileSync(join(target, name), encodeImage(schema, mm), { mode: 0o600 });
    filled.push({ pid, fillings, present });
  }
  return filled;
};
