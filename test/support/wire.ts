/** An interface inside a namespace as raw frames, through a packet socket that is opened there. */
import { once } from 'node:events';
import { start } from '../../src/exec/index.ts';
import type { NetworkNamespace } from './network-namespace.ts';
import { PYTHON, fixture } from './programs/program.ts';

const HEAR_WITHIN_MS = 10_000;

export interface Wire extends AsyncDisposable {
  /** Sends a frame: hexadecimal digits. */
  send(...frames: readonly string[]): void;
  /** Waits for a frame that holds these digits; gives all that came up to it and forgets them. */
  hear(digits: string): Promise<string[]>;
}

export const openWire = async (namespace: NetworkNamespace, interfaceName: string): Promise<Wire> => {
  const args = [`--net=${namespace.path}`, PYTHON, fixture('wire.py'), interfaceName];
  const program = await start('nsenter', args, { stdio: ['pipe', 'pipe', 'inherit'] });
  const { stdin, stdout } = program;
  if (!stdin || !stdout) throw new Error('a wire needs its pipes');
  let heard = '';
  stdout.setEncoding('utf8').on('data', (chunk: string) => (heard += chunk));
  const hear = async (digits: string): Promise<string[]> => {
    const signal = AbortSignal.timeout(HEAR_WITHIN_MS);
    for (;;) {
      const lines = heard.split('\n');
      const found = lines.slice(0, -1).findIndex((line) => line.includes(digits));
      if (found >= 0) {
        heard = lines.slice(found + 1).join('\n');
        return lines.slice(0, found + 1);
      }
      await once(stdout, 'data', { signal }).catch(() => {
        throw new Error(`${interfaceName} did not hear ${digits}, but ${JSON.stringify(lines)}`);
      });
    }
  };
  await hear('ready');
  return {
    send: (...frames) => void stdin.write(`${frames.join('\n')}\n`),
    hear,
    [Symbol.asyncDispose]: async () => void (await program.stop()),
  };
};
