/** What a hundred sleeping applications cost: the daemon's memory, and its processor time while nothing happens. */
import { setTimeout as pause } from 'node:timers/promises';
import { ChainSpec } from '../src/api/index.ts';
import { kept } from './bench.ts';
import type { Bench, Part } from './bench.ts';
import { figure } from './figures.ts';
import type { Figure } from './figures.ts';
import { ranNs, residentMb, usedMs } from './processes.ts';

const APPLICATIONS = 100;
const AT_ONCE = 4;
const WINDOW_MS = 500;
const LEAST_WINDOWS = 20;
const MEMORY_LIMIT_MB = 150;
const CPU_LIMIT_PERCENT = 1;

const makeSleepers = async (bench: Bench): Promise<string[]> => {
  const { client } = bench;
  const aids: string[] = [];
  let next = 0;
  const work = async (): Promise<void> => {
    while (next < APPLICATIONS) {
      const command = ['sleep', 'infinity'];
      const spec = ChainSpec.parse({ name: `sleeper-${next++}`, processes: [{ name: 'sleep', command }] });
      const { aid, name } = await client.run(spec);
      await client.sleep(aid);
      await kept(bench, { aid, name });
      aids.push(aid);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
  return aids;
};

const measure = async (bench: Bench): Promise<Figure[]> => {
  const { lab, client, samples } = bench;
  const pid = lab.daemonPid();
  const before = residentMb(pid);
  const aids = await makeSleepers(bench);
  const [memory, cpu]: [number[], number[]] = [[], []];
  const [began, usedBefore] = [performance.now(), usedMs(pid)];
  for (let window = 0; window < Math.max(samples, LEAST_WINDOWS); window++) {
    const [from, ran] = [performance.now(), ranNs(pid)];
    await pause(WINDOW_MS);
    cpu.push((ranNs(pid) - ran) / 1e4 / (performance.now() - from));
    memory.push(residentMb(pid));
  }
  const whole = ((usedMs(pid) - usedBefore) * 100) / (performance.now() - began);
  for (const aid of aids) await client.remove(aid, { force: true });
  const name = `daemon, ${APPLICATIONS} asleep`;
  return [
    figure({ name: `${name}, memory`, unit: 'MB', values: memory }, MEMORY_LIMIT_MB),
    figure({ name: 'daemon, before them, memory', unit: 'MB', values: [before] }),
    figure({ name: `${name}, CPU in windows of ${WINDOW_MS} ms`, unit: '%', values: cpu }, CPU_LIMIT_PERCENT),
    figure({ name: `${name}, CPU over the whole time`, unit: '%', values: [whole] }, CPU_LIMIT_PERCENT),
  ];
};

export const sleepers: Part = {
  name: 'sleeping',
  title: `${APPLICATIONS} sleeping applications`,
  measure,
};
