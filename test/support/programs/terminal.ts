import { expect } from 'vitest';
import { eventually } from '../eventually.ts';
import { askJson, fixture, openLines, PYTHON } from './program.ts';
import type { Place, Program } from './program.ts';

const PORT = 8085;

const type = async (at: Place, text: string): Promise<string> =>
  (await askJson<{ printed: string }>(at, PORT, `type ${text}`)).printed;

/** A shell on a pseudo-terminal. */
export const terminal: Program = {
  name: 'terminal',
  port: PORT,
  launch: { command: [PYTHON, fixture('terminal.py'), String(PORT)] },
  ready: async (at) => {
    await eventually(() => askJson(at, PORT, 'window'));
  },
  begin: async (at) => {
    let last = 41;
    expect(await type(at, `N=${last}; echo $N`)).toBe(String(last));
    const window = await askJson(at, PORT, 'window');
    expect(window).toMatchObject({ rows: 37, columns: 100, echo: false });
    return {
      goOn: async () => {
        expect(await type(at, 'N=$((N+1)); echo $N')).toBe(String(++last));
        expect(await askJson(at, PORT, 'window')).toEqual(window);
        // The terminal is still the shell's own.
        expect(await type(at, 'test -t 0 && tty')).toMatch(/^\/dev\/pts\/\d+$/);
      },
      close: () => undefined,
    };
  },
  openIdle: async (at) => {
    const client = await openLines(at, PORT);
    const shell = (): Promise<unknown> => client.askJson('type echo $$');
    const first = await shell();
    return { check: async () => expect(await shell()).toEqual(first), close: client.close };
  },
};
