/** Finds what the processes of a template know of themselves. For a thread of its own: it reads all of their memory. */
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { Schema } from '../../criu/index.ts';
import { GENERATOR_MARK, findGenerators } from './generators.ts';
import { CELL_MARK, findCells, findNodeNames, nodeNeedle } from './names.ts';
import { SavedMemory } from './saved-memory.ts';
import type { Memory } from './saved-memory.ts';
import { scan } from './scan.ts';
import { chooseSpare } from './spare.ts';
import type { FindJob, Personality, ProcessPersonality } from './types.ts';
import { findVariables, readBlock, stringOf } from './variables.ts';

/** A process's image has its ID; one that has ended and was not waited for has none. */
const pidsIn = (images: string): number[] =>
  readdirSync(images)
    .map((name) => Number(/^mm-(\d+)\.img$/.exec(name)?.[1] ?? 0))
    .filter((pid) => pid > 0 && existsSync(join(images, `pagemap-${pid}.img`)))
    .toSorted((a, b) => a - b);

const personalityOf = (memory: Memory, pid: number, { variables, hostname }: FindJob): ProcessPersonality => {
  const block = readBlock(memory, variables);
  const strings = Object.entries(variables).map(([name, value]) => stringOf(name, value));
  const { needles, words, marks } = scan(memory.windows(), {
    needles: [...strings, nodeNeedle(hostname)],
    targets: new Set(block.wanted.keys()),
    marks: [GENERATOR_MARK, CELL_MARK],
  });
  const [generators = [], cells = []] = marks;
  const known = findVariables(memory, variables, block, { words, strings: needles.slice(0, -1) });
  const movable = Object.values(known).filter((all) => all.some(({ pointers }) => pointers.length > 0));
  return {
    pid,
    variables: known,
    overwritten: block.overwritten,
    spare: chooseSpare(
      memory,
      movable.map((all) => Math.max(...all.map(({ room }) => room))),
    ),
    nodeNames: findNodeNames(memory, hostname, needles.at(-1) ?? []),
    generators: findGenerators(memory, pid, generators),
    cells: findCells(memory, cells),
  };
};

/** Throws `ImageError` for what is no dump, and the file system's error. */
export const findIn = (job: FindJob): Personality => {
  const schema = Schema.load(job.descriptors);
  const processes = pidsIn(job.images).map((pid) => {
    const memory = new SavedMemory({ schema, images: job.images, pid, layers: job.layers });
    try {
      return personalityOf(memory, pid, job);
    } finally {
      memory.close();
    }
  });
  return { format: 1, names: Object.keys(job.variables), processes };
};
