/**
 * Asks other name servers, for a network that may reach the outside.
 *
 * Each question goes out from a port of its own, under a random identifier, and only a reply that repeats the question counts: somebody
 * who does not see it cannot answer in the server's place. A server that is silent, or says that it cannot tell, is followed by the
 * next; of a reply that was too long for UDP the whole is fetched by TCP.
 */
import { randomInt } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { connect, isIPv6 } from 'node:net';
import { frame, frames } from './framing.ts';
import { RCODES, flagsOf, isReplyTo, withId } from './message.ts';
import type { Query } from './message.ts';

/** Two servers this long each, so that an asker, who commonly waits five seconds, still gets an answer. */
const PATIENCE_MS = 2000;
const SERVERS = 2;
/** Questions of one network under way. Each has a socket; more are turned down at once. */
const UNDER_WAY = 64;
const MAX_REPLY_BYTES = 65_535;
const PORT = 53;

interface Upstream {
  readonly address: string;
  readonly port: number;
}

interface Asked {
  readonly message: Buffer;
  readonly end: number;
}

const parse = (server: string): Upstream => {
  if (isIPv6(server)) return { address: server, port: PORT };
  const [, address = server, port] = /^(.+):(\d+)$/.exec(server) ?? [];
  return { address, port: port === undefined ? PORT : Number(port) };
};

const askByUdp = async (
  { address, port }: Upstream,
  { message, end }: Asked,
  signal: AbortSignal,
): Promise<Buffer> => {
  const socket = createSocket(isIPv6(address) ? 'udp6' : 'udp4');
  try {
    const connected = once(socket, 'connect', { signal });
    // From a connected socket the kernel hands over what this server sent, and tells when nobody listens there.
    socket.connect(port, address);
    await connected;
    const { promise, resolve, reject } = Promise.withResolvers<Buffer>();
    socket.on('message', (reply) => {
      if (isReplyTo(message, end, reply)) resolve(reply);
    });
    socket.on('error', reject);
    signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true });
    socket.send(message);
    return await promise;
  } finally {
    socket.close();
  }
};

const askByTcp = async (
  { address, port }: Upstream,
  { message, end }: Asked,
  signal: AbortSignal,
): Promise<Buffer> => {
  const socket = connect({ host: address, port });
  // The reading below fails as the connection does; later failures of it concern nobody.
  socket.on('error', () => undefined);
  const giveUp = (): void => void socket.destroy(signal.reason as Error);
  signal.addEventListener('abort', giveUp, { once: true });
  try {
    socket.write(frame(message));
    for await (const replies of frames(socket, MAX_REPLY_BYTES)) {
      const reply = replies.find((each) => isReplyTo(message, end, each));
      if (reply !== undefined) return reply;
    }
    throw new Error(`${address} closed the connection without a reply`);
  } finally {
    signal.removeEventListener('abort', giveUp);
    socket.destroy();
  }
};

/** The whole reply of one server; rejects when it has none within its time. */
const askServer = async (server: Upstream, asked: Asked, end: AbortSignal): Promise<Buffer> => {
  const signal = AbortSignal.any([AbortSignal.timeout(PATIENCE_MS), end]);
  const reply = await askByUdp(server, asked, signal);
  return flagsOf(reply).truncated ? await askByTcp(server, asked, signal) : reply;
};

const isNoAnswer = (reply: Buffer): boolean => {
  const { rcode } = flagsOf(reply);
  return rcode === RCODES.SERVFAIL || rcode === RCODES.REFUSED || rcode === RCODES.NOTIMP;
};

export class Forwarder {
  readonly #servers: readonly Upstream[];
  readonly #end = new AbortController();
  #underWay = 0;

  /** `servers` are addresses, with a port after a colon where it is not 53; the first two are asked. */
  constructor(servers: readonly string[]) {
    this.#servers = servers.slice(0, SERVERS).map(parse);
  }

  get isPossible(): boolean {
    return this.#servers.length > 0;
  }

  /** The reply to a question, of whatever size; none when no server has one, or too many questions are under way. */
  async ask(query: Query): Promise<Buffer | undefined> {
    if (this.#underWay >= UNDER_WAY) return undefined;
    this.#underWay += 1;
    try {
      const reply = await this.#askEach(query);
      return reply === undefined ? undefined : withId(reply, query.bytes.readUInt16BE(0));
    } finally {
      this.#underWay -= 1;
    }
  }

  /** Gives up what is under way: those questions have no reply. */
  close(): void {
    this.#end.abort();
  }

  async #askEach(query: Query): Promise<Buffer | undefined> {
    let last: Buffer | undefined;
    for (const server of this.#servers) {
      if (this.#end.signal.aborted) break;
      const asked = { message: withId(query.bytes, randomInt(1 << 16)), end: query.end };
      const reply = await askServer(server, asked, this.#end.signal).catch(() => undefined);
      if (reply !== undefined && !isNoAnswer(reply)) return reply;
      last ??= reply;
    }
    return last;
  }
}
