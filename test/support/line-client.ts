import type { Socket } from 'node:net';

/** A connection to a fixture that answers each line with a line. */
export interface LineClient {
  ask(line: string): Promise<string>;
  /** The answer of a fixture that speaks JSON; throws when it tells an error. */
  askJson<T>(line: string): Promise<T>;
  close(): void;
}

export const lineClient = (socket: Socket): LineClient => {
  let text = '';
  const waiting: { resolve: (line: string) => void; reject: (cause: unknown) => void }[] = [];
  const fail = (cause: unknown): void => waiting.splice(0).forEach((one) => one.reject(cause));
  socket.setEncoding('utf8');
  socket.on('data', (chunk: string) => {
    const lines = (text + chunk).split('\n');
    text = lines.pop() ?? '';
    for (const line of lines) waiting.shift()?.resolve(line);
  });
  socket.on('error', fail);
  socket.on('close', () => fail(new Error('the connection was closed by the application')));
  const ask = (line: string): Promise<string> =>
    new Promise((resolve, reject) => {
      waiting.push({ resolve, reject });
      if (socket.destroyed) fail(new Error('the connection is closed'));
      else socket.write(`${line}\n`);
    });
  return {
    ask,
    askJson: async <T>(line: string): Promise<T> => {
      const answer = JSON.parse(await ask(line)) as T & { error?: string };
      if (answer.error !== undefined)
        throw new Error(`the application answered ${line} with ${answer.error}`);
      return answer;
    },
    close: () => socket.destroy(),
  };
};
