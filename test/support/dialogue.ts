import { once } from 'node:events';
import type { Started } from '../../src/exec/index.ts';

/** A real client that is left running: it is told things on its input and read on its output. */
export interface Dialogue {
  tell(line: string): void;
  /** Waits for the next line of output that matches, and forgets the ones up to it. Throws when the client ends first. */
  hear(pattern: RegExp): Promise<RegExpMatchArray>;
  close(): Promise<void>;
}

const MATCH_WITHIN_MS = 20_000;

export const dialogue = (client: Started): Dialogue => {
  let heard = '';
  let errors = '';
  const { stdin, stdout, stderr } = client;
  if (stdout === null || stderr === null) throw new Error('a dialogue needs the output of its client');
  stdout.setEncoding('utf8').on('data', (chunk: string) => (heard += chunk));
  stderr.setEncoding('utf8').on('data', (chunk: string) => (errors += chunk));
  const takeMatch = (pattern: RegExp): RegExpMatchArray | null => {
    const lines = heard.split('\n');
    const index = lines.slice(0, -1).findIndex((line) => pattern.test(line));
    if (index < 0) return null;
    heard = lines.slice(index + 1).join('\n');
    return lines[index]?.match(pattern) ?? null;
  };
  return {
    tell: (line) => {
      stdin?.write(`${line}\n`);
    },
    hear: async (pattern) => {
      const signal = AbortSignal.timeout(MATCH_WITHIN_MS);
      for (;;) {
        const match = takeMatch(pattern);
        if (match !== null) return match;
        const more = once(stdout, 'data', { signal }).then(() => true);
        const ended = client.exited.then(() => false);
        const goesOn = await Promise.race([more, ended]).catch(() => false);
        // The losing wait must not be reported as unhandled when its signal fires.
        more.catch(() => undefined);
        if (goesOn) continue;
        throw new Error(`the client did not print ${pattern}; it printed ${JSON.stringify(heard + errors)}`);
      }
    },
    close: async () => {
      stdin?.destroy();
      await client.stop(500);
    },
  };
};
