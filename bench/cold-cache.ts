/**
 * A wake when the kernel has forgotten the files: the memory layer, the images, or both. Then what it gains to read the parts of the
 * layer ahead that the last such wake, with its request, had read.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { SleepResult } from '../src/api/index.ts';
import type { Dialogue } from '../test/support/dialogue.ts';
import { beside } from './bare-bridge.ts';
import { kept, sleep, wakeByPacket } from './bench.ts';
import type { Bench, Part } from './bench.ts';
import { compared, figure } from './figures.ts';
import type { Figure, Samples } from './figures.ts';
import { QUESTION, startServer } from './node-server.ts';
import type { Server } from './node-server.ts';

const MEGABYTES = 400;
const MB = 1e6;

interface Files {
  readonly layer: string;
  readonly images: string;
}

/** Where the files of a durable snapshot are (docs/snapshot-format.md). */
const filesOf = ({ lab }: Bench, { snapshot }: SleepResult): Files => {
  const directory = join(lab.dataDirectory, 'snapshots', snapshot);
  const manifest = JSON.parse(readFileSync(join(directory, 'manifest.json'), 'utf8')) as {
    memory: { layers: { digest: string }[] };
  };
  const digest = manifest.memory.layers[0]?.digest;
  if (digest === undefined) throw new Error(`${snapshot} has no layer`);
  return { layer: join(lab.dataDirectory, 'layers', digest), images: join(directory, 'images') };
};

/** Lets the page cache be changed; returns what was printed before `done`. */
const change = async (cache: Dialogue, command: string): Promise<void> => {
  cache.tell(command);
  await cache.hear(/^done$/);
};

/** How a turn's wake is prepared, and what else begins with it. */
interface Circumstances {
  readonly forgotten: readonly (keyof Files)[];
  readonly ahead?: boolean;
  readonly mark?: boolean;
}

const CIRCUMSTANCES = {
  warm: { forgotten: [] },
  images: { forgotten: ['images'] },
  layer: { forgotten: ['layer'], mark: true },
  ahead: { forgotten: ['layer'], ahead: true },
  both: { forgotten: ['layer', 'images'] },
} as const satisfies Record<string, Circumstances>;
type Name = keyof typeof CIRCUMSTANCES;

class Cold {
  readonly #bench: Bench;
  readonly #server: Server;
  readonly #cache: Dialogue;
  /** Megabytes of the layer that a wake with its request reads, with what the kernel reads around them. */
  readonly touched: number[] = [];

  constructor(bench: Bench, server: Server, cache: Dialogue) {
    this.#bench = bench;
    this.#server = server;
    this.#cache = cache;
  }

  /** Milliseconds from the first packet to the whole response. */
  async wake({ forgotten, ahead = false, mark = false }: Circumstances): Promise<number> {
    const { app, to } = this.#server;
    const slept = await sleep(this.#bench, app);
    await kept(this.#bench, app);
    const files = filesOf(this.#bench, slept);
    if (forgotten.length > 0)
      await change(this.#cache, `drop ${forgotten.map((name) => files[name]).join(' ')}`);
    // It is not waited for: it begins with the packet.
    if (ahead) this.#cache.tell('ahead');
    const { ms } = await wakeByPacket(this.#bench, slept, to, QUESTION);
    if (ahead) await this.#cache.hear(/^done$/);
    if (mark) await this.#mark(files.layer);
    return ms;
  }

  async #mark(layer: string): Promise<void> {
    const { processes } = await this.#bench.client.inspect(this.#server.app.aid);
    this.#cache.tell(`mark ${layer} ${processes.map(({ systemPid }) => systemPid).join(' ')}`);
    const [, bytes] = await this.#cache.hear(/^parts \d+ bytes (\d+)$/);
    await this.#cache.hear(/^done$/);
    this.touched.push(Number(bytes) / MB);
  }
}

const measure = async (bench: Bench): Promise<Figure[]> => {
  const cache = await bench.lab.talk('/usr/bin/python3', [beside('page-cache.py')]);
  const server = await startServer(bench, 'forgotten', MEGABYTES);
  const cold = new Cold(bench, server, cache);
  await cold.wake(CIRCUMSTANCES.warm);
  const values: Record<Name, number[]> = { warm: [], images: [], layer: [], ahead: [], both: [] };
  for (let sample = 0; sample < bench.samples; sample++)
    for (const name of Object.keys(values) as Name[]) values[name].push(await cold.wake(CIRCUMSTANCES[name]));
  await server.app.remove();
  await cache.close();
  const samples = (what: string, name: Name): Samples => ({
    name: `wake, ${what}, ${MEGABYTES} MB`,
    unit: 'ms',
    values: values[name],
  });
  const [warm, layer] = [
    samples('files in the page cache', 'warm'),
    samples('layer not in the page cache', 'layer'),
  ];
  return [
    figure(warm),
    compared(samples('images not in the page cache', 'images'), warm),
    compared(layer, warm),
    compared(samples('the same, read ahead from the packet on', 'ahead'), layer),
    compared(samples('neither in the page cache', 'both'), warm),
    figure({ name: 'of the layer read by a wake and its request', unit: 'MB', values: cold.touched }),
  ];
};

export const coldCache: Part = {
  name: 'cold',
  title: `A Node server that holds ${MEGABYTES} MB, when its files are not in memory`,
  measure,
};
