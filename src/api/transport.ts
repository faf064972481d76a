/**
 * HTTP over the daemon's Unix socket: one connection for each request, no limit in time, failures as errors of the registry.
 *
 * `fetch` is not used: it gives up on a stream that is silent for five minutes, and a sleep or an event may take longer.
 */
import type { IncomingMessage } from 'node:http';
import { AppShotError } from '../common/index.ts';
import { RemoteError } from './remote-error.ts';

/** Importing `node:http` by name loads its WebSocket half too, which takes longer than most requests. */
const http = process.getBuiltinModule('node:http');

/** Longer answers and lines are refused: nothing the daemon sends comes near. */
const MAX_TEXT = 64 << 20;

export interface Request {
  readonly method: string;
  readonly path: string;
  readonly body?: unknown;
  readonly signal?: AbortSignal | undefined;
}

const toConnectError = (error: NodeJS.ErrnoException, path: string): unknown => {
  switch (error.code) {
    case 'ABORT_ERR':
      return error;
    case 'EACCES':
    case 'EPERM':
      return new AppShotError('FORBIDDEN', { path }, { cause: error });
    case 'ECONNRESET':
    case 'EPIPE':
      return new AppShotError('DAEMON_LOST', { path }, { cause: error });
    default:
      return new AppShotError('NO_DAEMON', { path }, { cause: error, details: { cause: error.code } });
  }
};

/** The text of an answer as it comes, in pieces. Leaving the loop closes the connection. */
async function* pieces(response: IncomingMessage, socketPath: string): AsyncGenerator<string> {
  response.setEncoding('utf8');
  try {
    yield* response as AsyncIterable<string>;
  } catch (error) {
    throw toConnectError(error as NodeJS.ErrnoException, socketPath);
  }
}

const tooLong = (): AppShotError =>
  new AppShotError('INTERNAL', { reason: `an answer is longer than ${MAX_TEXT} characters` });

const readText = async (response: IncomingMessage, socketPath: string): Promise<string> => {
  let text = '';
  for await (const piece of pieces(response, socketPath)) {
    text += piece;
    if (text.length > MAX_TEXT) throw tooLong();
  }
  return text;
};

const toRemoteError = (text: string, status: number): RemoteError => {
  try {
    return new RemoteError((JSON.parse(text) as { error?: unknown } | null)?.error, status);
  } catch {
    return new RemoteError({ message: `the daemon answered with HTTP status ${status}` }, status);
  }
};

export interface Answer {
  readonly headers: IncomingMessage['headers'];
  /** The whole answer. Ask for this or for `lines`, once. */
  text(): Promise<string>;
  /** The lines of a stream as they come. */
  lines(): AsyncGenerator<string>;
}

async function* lines(response: IncomingMessage, socketPath: string): AsyncGenerator<string> {
  let rest = '';
  for await (const piece of pieces(response, socketPath)) {
    const parts = (rest + piece).split('\n');
    rest = parts.pop() ?? '';
    if (rest.length > MAX_TEXT) throw tooLong();
    yield* parts.filter((line) => line !== '');
  }
  if (rest !== '') yield rest;
}

const connect = (socketPath: string, request: Request): Promise<IncomingMessage> => {
  const body = request.body === undefined ? undefined : Buffer.from(JSON.stringify(request.body));
  const headers =
    body === undefined ? {} : { 'content-type': 'application/json', 'content-length': body.length };
  const { method, path, signal } = request;
  return new Promise((resolve, reject) => {
    http
      .request(
        { socketPath, method, path, headers, agent: false, ...(signal === undefined ? {} : { signal }) },
        resolve,
      )
      .on('error', (error: NodeJS.ErrnoException) => reject(toConnectError(error, socketPath)))
      .end(body);
  });
};

/**
 * Sends a request and resolves when the headers of a good answer are there.
 *
 * @throws AppShotError NO_DAEMON, FORBIDDEN, DAEMON_LOST, or what the daemon sent; an abort throws an `AbortError`
 */
export const send = async (socketPath: string, request: Request): Promise<Answer> => {
  const response = await connect(socketPath, request);
  const status = response.statusCode ?? 500;
  if (status >= 400) throw toRemoteError(await readText(response, socketPath), status);
  return {
    headers: response.headers,
    text: () => readText(response, socketPath),
    lines: () => lines(response, socketPath),
  };
};
