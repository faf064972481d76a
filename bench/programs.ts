/** Wakes of other programs: first packet to the last byte of the answer. */
import { fileURLToPath } from 'node:url';
import { launch } from '../test/support/application.ts';
import { eventually } from '../test/support/eventually.ts';
import { sleep, wakeByPacket } from './bench.ts';
import type { Bench, Part } from './bench.ts';
import { figure } from './figures.ts';
import type { Figure } from './figures.ts';
import { ask, httpGet, redisPing } from './request.ts';
import type { Question } from './request.ts';

interface Program {
  readonly name: string;
  readonly what: string;
  readonly command: readonly string[];
  readonly port: number;
  readonly question: Question;
}

const fixture = (name: string): string => fileURLToPath(new URL(`../test/fixtures/${name}`, import.meta.url));

const REDIS = [
  'redis-server',
  '--bind',
  '0.0.0.0',
  '--protected-mode',
  'no',
  '--save',
  '',
  '--appendonly',
  'no',
];

const PROGRAMS: readonly Program[] = [
  { name: 'redis', what: 'Redis', command: REDIS, port: 6379, question: redisPing },
  {
    name: 'nginx',
    what: 'nginx, master and two workers',
    command: ['nginx', '-e', 'stderr', '-c', fixture('nginx.conf')],
    port: 80,
    question: httpGet('/'),
  },
  {
    name: 'python',
    what: 'Python, five threads',
    command: ['/usr/bin/python3', fixture('threads.py'), '8083'],
    port: 8083,
    question: httpGet('/'),
  },
];

const wakes = async (bench: Bench, program: Program): Promise<Figure> => {
  const app = await launch(bench.lab, program.name, { command: program.command });
  const to = bench.lab.namespace.inside(app.address, program.port);
  await eventually(() => ask(to, program.question));
  const values: number[] = [];
  for (let sample = 0; sample < bench.samples; sample++) {
    const slept = await sleep(bench, app);
    values.push((await wakeByPacket(bench, slept, to, program.question)).ms);
  }
  await app.remove();
  return figure({ name: `wake, first packet to whole response, ${program.what}`, unit: 'ms', values });
};

export const programs: Part = {
  name: 'programs',
  title: 'Other programs',
  measure: async (bench) => {
    const figures: Figure[] = [];
    for (const program of PROGRAMS) figures.push(await wakes(bench, program));
    return figures;
  },
};
