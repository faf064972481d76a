import { expect } from 'vitest';
import { eventually } from '../eventually.ts';
import { askJson, fixture, openLines, PYTHON } from './program.ts';
import type { Program } from './program.ts';

const PORT = 8084;

interface State {
  readonly asked: number;
  readonly pid: number;
  readonly session: number;
}

/** A daemon of the old kind: what was started ends at once, its grandchild is the application. */
export const daemoniser: Program = {
  name: 'daemoniser',
  port: PORT,
  launch: { command: [PYTHON, fixture('daemoniser.py'), String(PORT)] },
  ready: async (at) => {
    await eventually(() => askJson(at, PORT, 'state'));
  },
  begin: async (at) => {
    let last = await askJson<State>(at, PORT, 'state');
    return {
      goOn: async () => {
        const now = await askJson<State>(at, PORT, 'state');
        expect(now).toMatchObject({ pid: last.pid, session: last.session });
        expect(now.asked).toBeGreaterThan(last.asked);
        last = now;
      },
      close: () => undefined,
    };
  },
  openIdle: async (at) => {
    const client = await openLines(at, PORT);
    const { pid, session } = await client.askJson<State>('state');
    return {
      check: async () => expect(await client.askJson<State>('state')).toMatchObject({ pid, session }),
      close: client.close,
    };
  },
};
