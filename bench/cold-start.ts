/** The other way to have a program back: starting it anew, without AppShot. */
import type { Lab } from '../test/support/lab.ts';
import { ask } from './request.ts';
import type { Question } from './request.ts';

export interface Startable {
  readonly command: readonly string[];
  readonly port: number;
  readonly question: Question;
  /** The line by which it says that it listens. */
  readonly listening: RegExp;
}

/** Starts the program on the lab's loopback; milliseconds until the last byte of its first answer. Ends it. */
export const coldStart = async (lab: Lab, program: Startable): Promise<number> => {
  const [tool = '', ...args] = program.command;
  const began = performance.now();
  const started = await lab.talk(tool, args);
  try {
    await started.hear(program.listening);
    await ask(lab.namespace.inside('127.0.0.1', program.port), program.question);
    return performance.now() - began;
  } finally {
    await started.close();
  }
};
