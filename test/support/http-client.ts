import { Agent, request } from 'node:http';
import type { IncomingHttpHeaders } from 'node:http';
import { text } from 'node:stream/consumers';
import type { Inside } from './network-namespace.ts';

export interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
  /** Port on the client's side: tells connections apart. */
  readonly localPort: number;
  /** Milliseconds from the request to the last byte of the answer. */
  readonly ms: number;
}

/** One GET. Rejects when the connection is refused, reset or closed before the whole answer is there. */
export const get = (to: Inside, path: string, agent?: Agent): Promise<Answer> => {
  const began = performance.now();
  return new Promise((resolve, reject) => {
    // Node's types know `autoSelectFamily` for sockets alone; the request hands it on.
    const options = { ...to, path, agent: agent ?? false };
    const sent = request(options, (response) => {
      const localPort = response.socket.localPort ?? 0;
      const { statusCode: status = 0, headers } = response;
      text(response).then(
        (body) => resolve({ status, headers, body, localPort, ms: performance.now() - began }),
        reject,
      );
    });
    sent.on('error', reject);
    sent.end();
  });
};

/** A client that keeps its one connection open. */
export interface HttpConnection {
  /** Throws when the answer came over another connection than before: then the old one was lost. */
  get(path: string): Promise<Answer>;
  close(): void;
}

export const httpConnection = (to: Inside): HttpConnection => {
  // Node's agents send TCP keep-alive probes each second unless told otherwise: packets, and so a reason to wake.
  const agent = new Agent({ keepAlive: true, keepAliveMsecs: 3_600_000, maxSockets: 1 });
  let port: number | undefined;
  return {
    get: async (path) => {
      const answer = await get(to, path, agent);
      port ??= answer.localPort;
      if (answer.localPort !== port)
        throw new Error('the open connection was lost and replaced by a new one');
      return answer;
    },
    close: () => agent.destroy(),
  };
};
