/**
 * The sockets of one network's name server. UDP carries what fits it; TCP carries everything, several questions on a connection if
 * the asker likes, whose answers come as they are ready.
 */
import { createSocket } from 'node:dgram';
import type { RemoteInfo } from 'node:dgram';
import { once } from 'node:events';
import { createServer } from 'node:net';
import type { Server, Socket } from 'node:net';
import { AppShotError } from '../common/index.ts';
import { frame, frames } from './framing.ts';
import { MAX_QUERY_BYTES } from './message.ts';

/** Connections of one network at a time, and how long one may be silent. */
const MAX_CONNECTIONS = 128;
const IDLE_MS = 5000;

/** The reply to a message, if it has one. Never rejects. */
export type Answerer = (message: Buffer, transport: 'udp' | 'tcp') => Promise<Buffer | undefined>;

/** Whether who has this address may ask. All others get no reply: it could be meant for somebody in whose name they ask. */
export type Admission = (address: string) => boolean;

export interface Place {
  readonly network: string;
  readonly address: string;
  readonly port: number;
}

const explained = ({ network, address, port }: Place, protocol: string, error: unknown): unknown =>
  (error as NodeJS.ErrnoException).code === 'EADDRINUSE'
    ? new AppShotError('NAMES_PORT_TAKEN', { network, address, port, protocol }, { cause: error })
    : error;

export class UdpListener {
  readonly #socket = createSocket('udp4');
  #open = true;

  constructor(answer: Answerer, mayAsk: Admission) {
    this.#socket.on('message', (message, asker) => {
      if (!mayAsk(asker.address)) return;
      void answer(message, 'udp').then((reply) => reply && this.#send(reply, asker));
    });
  }

  /** Fails with `NAMES_PORT_TAKEN`, or the kernel's refusal; it is closed then. */
  async listen(place: Place): Promise<void> {
    const listening = once(this.#socket, 'listening');
    this.#socket.bind({ address: place.address, port: place.port });
    try {
      await listening;
    } catch (error) {
      this.close();
      throw explained(place, 'UDP', error);
    }
    this.#socket.on('error', () => undefined);
  }

  close(): void {
    this.#open = false;
    this.#socket.close();
  }

  #send(reply: Buffer, { address, port }: RemoteInfo): void {
    // Whoever asked may be gone: what the kernel says to that concerns nobody else.
    if (this.#open && port !== 0) this.#socket.send(reply, port, address, () => undefined);
  }
}

const converse = async (socket: Socket, answer: Answerer): Promise<void> => {
  const reply = async (message: Buffer): Promise<void> => {
    const bytes = await answer(message, 'tcp');
    if (bytes !== undefined && socket.writable) socket.write(frame(bytes));
  };
  for await (const messages of frames(socket, MAX_QUERY_BYTES)) {
    await Promise.all(messages.map(reply));
    // Who sends questions and does not read the answers gets no further ones.
    if (socket.writableNeedDrain) await Promise.race([once(socket, 'drain'), once(socket, 'close')]);
  }
  socket.end();
};

/** A listening server and its connections. */
export class TcpListener {
  readonly #server: Server;
  readonly #connections = new Set<Socket>();

  constructor(answer: Answerer, mayAsk: Admission) {
    // One that has asked everything may say so, and still waits for the answers.
    this.#server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
      if (!mayAsk(socket.remoteAddress ?? '')) return void socket.destroy();
      this.#connections.add(socket);
      socket.on('close', () => this.#connections.delete(socket));
      socket.setTimeout(IDLE_MS, () => socket.destroy());
      // Whatever goes wrong on a connection ends it, and nothing else.
      socket.on('error', () => undefined);
      converse(socket, answer).catch(() => socket.destroy());
    });
    this.#server.maxConnections = MAX_CONNECTIONS;
  }

  /** Fails with `NAMES_PORT_TAKEN`, or the kernel's refusal. */
  async listen(place: Place): Promise<void> {
    const listening = once(this.#server, 'listening');
    this.#server.listen({ host: place.address, port: place.port });
    try {
      await listening;
    } catch (error) {
      throw explained(place, 'TCP', error);
    }
    this.#server.on('error', () => undefined);
  }

  async close(): Promise<void> {
    const closed = once(this.#server, 'close');
    this.#server.close();
    for (const socket of this.#connections) socket.destroy();
    await closed;
  }
}
