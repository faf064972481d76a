/**
 * An HTTP request inside an application's network namespace, which nobody else can reach yet. Its socket is made there and belongs to that
 * namespace for good; everything else happens in this process.
 */
import { get } from 'node:http';
import type { IncomingMessage } from 'node:http';
import { Socket } from 'node:net';
import { once } from 'node:events';
import { beginConnection, close, openNamespace, withNetworkNamespace } from '../kernel/index.ts';

const LOOPBACK = '127.0.0.1';
/** Characters of an answer that are of use: the first of them explain a refusal. The rest is not read. */
const LONGEST_ANSWER = 4096;

const open = (pid: number, port: number): Socket => {
  const namespace = openNamespace(pid, 'net');
  try {
    return new Socket({ fd: withNetworkNamespace(namespace, () => beginConnection(LOOPBACK, port)) });
  } finally {
    close(namespace);
  }
};

const beginningOf = async (answer: IncomingMessage): Promise<string> => {
  answer.setEncoding('utf8');
  let text = '';
  for await (const piece of answer) {
    text += piece;
    if (text.length > LONGEST_ANSWER) break;
  }
  return text.split('\n')[0]?.trim().slice(0, LONGEST_ANSWER) ?? '';
};

/**
 * GETs `url`, whose host is the loopback address, in the network namespace of process `pid`. Any 2xx is success; otherwise it throws with the
 * reason. Resolves when the connection is gone.
 */
export const requestInside = async (pid: number, url: string, signal: AbortSignal): Promise<void> => {
  const socket = open(pid, Number(new URL(url).port || 80));
  const gone = once(socket, 'close').catch(() => undefined);
  try {
    const request = get(url, { createConnection: () => socket, signal, headers: { connection: 'close' } });
    const [answer] = (await once(request, 'response')) as [IncomingMessage];
    const status = answer.statusCode ?? 0;
    const beginning = await beginningOf(answer);
    if (status < 200 || status > 299) throw new Error(`the answer was ${status}: ${beginning}`);
  } finally {
    socket.destroy();
    await gone;
  }
};
