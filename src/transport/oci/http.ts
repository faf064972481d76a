/**
 * One HTTP exchange, with a body that is streamed and of known length. node:http and not fetch, because registries want a
 * Content-Length, and because a body that cannot be read must be told from a connection that broke.
 */
import { request as requestPlain } from 'node:http';
import type { IncomingMessage, OutgoingHttpHeaders } from 'node:http';
import { request as requestSecure } from 'node:https';
import { pipeline } from 'node:stream';
import type { Bytes } from '../bytes.ts';

/** Nothing was heard for this long: the other side is gone. */
const IDLE_MS = 60_000;

/** The connection could not be made, or broke. It may be tried again. */
export class ConnectionLost extends Error {
  constructor(cause: unknown) {
    const { code, message } = cause as NodeJS.ErrnoException;
    super(code === undefined || message.includes(code) ? message : `${code}: ${message}`, { cause });
  }
}

export interface Exchange {
  readonly method: string;
  readonly url: URL;
  readonly headers?: OutgoingHttpHeaders;
  readonly body?: Bytes | undefined;
  readonly signal?: AbortSignal | undefined;
}

const lost = (error: unknown, signal: AbortSignal | undefined): unknown =>
  signal?.aborted === true ? signal.reason : new ConnectionLost(error);

/** Sends a request; resolves with the answer's head. Throws ConnectionLost, the signal's reason, or what the body throws. */
export const exchange = async ({
  method,
  url,
  headers = {},
  body,
  signal,
}: Exchange): Promise<IncomingMessage> => {
  const request = url.protocol === 'https:' ? requestSecure : requestPlain;
  let failure: unknown;
  const watched = async function* (bytes: Bytes): AsyncGenerator<Uint8Array> {
    try {
      yield* bytes;
    } catch (error) {
      failure = error;
      throw error;
    }
  };
  try {
    return await new Promise<IncomingMessage>((resolve, reject) => {
      const outgoing = request(url, { method, headers, timeout: IDLE_MS, ...(signal && { signal }) });
      outgoing.once('response', resolve).on('error', reject);
      outgoing.once('timeout', () =>
        outgoing.destroy(new Error(`nothing was heard for ${IDLE_MS / 1000} s`)),
      );
      if (body === undefined) outgoing.end();
      // What fails reaches the request's own 'error' event.
      else pipeline(watched(body), outgoing, () => undefined);
    });
  } catch (error) {
    throw failure ?? lost(error, signal);
  }
};

/** The body of an answer. Throws ConnectionLost when it breaks off. */
export async function* bodyOf(answer: IncomingMessage, signal?: AbortSignal): AsyncGenerator<Buffer> {
  try {
    yield* answer as AsyncIterable<Buffer>;
  } catch (error) {
    throw lost(error, signal);
  }
}

/** A body of at most `limit` bytes; undefined when it is larger. */
export const smallBody = async (answer: IncomingMessage, limit: number): Promise<Buffer | undefined> => {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of bodyOf(answer)) {
    chunks.push(chunk);
    length += chunk.length;
    if (length > limit) return undefined;
  }
  return Buffer.concat(chunks, length);
};
