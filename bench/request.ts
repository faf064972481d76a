/** Clients that live in this process, so that no figure contains the start of one. */
import { connect } from 'node:net';
import type { Socket } from 'node:net';
import { finished } from 'node:stream/promises';
import type { Inside } from '../test/support/network-namespace.ts';

/** What is asked of a program, and whether what came back is the whole answer. */
export interface Question {
  readonly text: string;
  isWhole(answer: string): boolean;
}

/** One GET; the answer must tell its length. */
export const httpGet = (path: string): Question => ({
  text: `GET ${path} HTTP/1.1\r\nHost: bench\r\n\r\n`,
  isWhole: (answer) => {
    const head = answer.indexOf('\r\n\r\n');
    if (head < 0) return false;
    if (!answer.startsWith('HTTP/1.1 200 ')) throw new Error(`the answer begins ${answer.slice(0, 40)}`);
    const length = /^content-length: (\d+)\r$/im.exec(answer.slice(0, head + 2))?.[1];
    if (length === undefined) throw new Error('the answer does not tell its length');
    return answer.length === head + 4 + Number(length);
  },
});

export const redisPing: Question = { text: 'PING\r\n', isWhole: (answer) => answer === '+PONG\r\n' };

/** Asks over an open connection; resolves with the last byte of the answer. */
const exchange = (socket: Socket, question: Question): Promise<void> =>
  new Promise((resolve, reject) => {
    let answer = '';
    const end = (cause?: Error): void => {
      socket.off('data', take).off('error', end).off('close', closed);
      if (cause === undefined) resolve();
      else reject(new Error(`${cause.message}, after ${answer.length} bytes of the answer`, { cause }));
    };
    const take = (chunk: string): void => {
      answer += chunk;
      try {
        if (question.isWhole(answer)) end();
      } catch (error) {
        end(error as Error);
      }
    };
    const closed = (): void => end(new Error('the connection was closed before the whole answer'));
    socket.on('data', take).on('error', end).on('close', closed);
    socket.write(question.text);
  });

/** Whose connection it was goes into what failed. */
const about = (to: Inside, cause: unknown): Error =>
  new Error(`${to.host}:${to.port}: ${cause instanceof Error ? cause.message : String(cause)}`, { cause });

const opened = (to: Inside): Socket => connect({ ...to, noDelay: true }).setEncoding('latin1');

/** Closes from both sides: a connection that one side still had to close would wake a sleeper by itself. */
const close = async (socket: Socket): Promise<void> => {
  socket.resume().end();
  await finished(socket);
};

/** Milliseconds from connect() to the last byte of the answer, over a connection of its own. */
export const ask = async (to: Inside, question: Question): Promise<number> => {
  const began = performance.now();
  const socket = opened(to);
  try {
    await exchange(socket, question);
    const ms = performance.now() - began;
    await close(socket);
    return ms;
  } catch (error) {
    throw about(to, error);
  } finally {
    socket.destroy();
  }
};

/** Asks one after another over one connection; milliseconds of each. */
export const askMany = async (to: Inside, question: Question, times: number): Promise<number[]> => {
  const socket = opened(to);
  const each: number[] = [];
  try {
    for (let time = 0; time < times; time++) {
      const began = performance.now();
      await exchange(socket, question);
      each.push(performance.now() - began);
    }
    await close(socket);
    return each;
  } catch (error) {
    throw about(to, error);
  } finally {
    socket.destroy();
  }
};
