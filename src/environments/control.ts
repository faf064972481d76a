/**
 * The conversation with an environment's PID 1 (native/init.c): frames of NUL-ended fields behind a 32-bit length.
 *
 * Calls are answered in order with `ok` or `error STAGE ERRNO`; everything else is an event. The socket lives in the
 * environment's directory, so that a restarted daemon finds it. When it closes, PID 1 has ended.
 */
import { closeSync, openSync } from 'node:fs';
import { connect } from 'node:net';
import type { Socket } from 'node:net';
import { once } from 'node:events';
import { getSystemErrorName } from 'node:util';
import { AppShotError } from '../common/index.ts';
import { sendFds, socketFd } from '../kernel/index.ts';

const HEADER = 4;
const LARGEST_FRAME = 16 << 20;

export interface ControlEvents {
  /** The chain's first process has ended, with an exit status as shells count it. */
  chainEnded(status: number): void;
  /** What is restored is complete, and about to go on. */
  resuming(): void;
  /** A message of the engine; `undefined` when the engine has ended. */
  engine(message: Uint8Array | undefined): void;
  closed(): void;
}

/** What PID 1 says first: `ready`, `rooted`, `restoring`, `running` or `ended`. */
export interface Hello {
  readonly state: string;
  readonly status: number;
}

interface Waiting {
  resolve(fields: string[]): void;
  reject(error: unknown): void;
}

export const encodeFrame = (fields: readonly string[], payload: Uint8Array = Buffer.alloc(0)): Buffer => {
  const head = Buffer.from(fields.map((text) => `${text}\0`).join(''), 'utf8');
  const length = Buffer.alloc(HEADER);
  length.writeUInt32LE(head.length + payload.length);
  return Buffer.concat([length, head, payload]);
};

const split = (frame: Buffer): string[] => frame.toString('utf8').replace(/\0$/, '').split('\0');

const refusal = ([, stage = '', errno = '']: string[]): AppShotError => {
  const name = Number(errno) > 0 ? getSystemErrorName(-Number(errno)) : 'unknown error';
  return new AppShotError(
    'ENVIRONMENT_FAILED',
    { reason: `${stage}: ${name}` },
    { details: { stage, errno: name } },
  );
};

export class Control {
  readonly #socket: Socket;
  readonly #waiting: Waiting[] = [];
  #received: Buffer = Buffer.alloc(0);
  #events: Partial<ControlEvents> = {};
  #ended: number | undefined;
  #closed = false;
  readonly hello = Promise.withResolvers<Hello>();

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.on('data', (bytes) => this.#take(bytes));
    socket.on('error', () => undefined);
    socket.once('close', () => this.#end());
    this.hello.promise.catch(() => undefined);
  }

  /** Connects to the control socket in `directory`, however long that path is: by way of the directory's descriptor. */
  static async connect(directory: string): Promise<Control> {
    const fd = openSync(directory, 'r');
    try {
      const socket = connect(`/proc/self/fd/${fd}/control`);
      await once(socket, 'connect');
      return new Control(socket);
    } catch (cause) {
      throw new AppShotError(
        'ENVIRONMENT_FAILED',
        { reason: `its control socket does not answer` },
        { cause },
      );
    } finally {
      closeSync(fd);
    }
  }

  /** Replaces the handlers that are given. What has already ended is told at once: nobody misses it by coming late. */
  on(events: Partial<ControlEvents>): void {
    this.#events = { ...this.#events, ...events };
    const status = this.#ended;
    if (events.chainEnded && status !== undefined) queueMicrotask(() => events.chainEnded?.(status));
    if (events.closed && this.#closed) queueMicrotask(events.closed);
  }

  /** Calls a verb; `descriptors` travel with it. Returns the fields after `ok`. Fails with `ENVIRONMENT_FAILED`. */
  call(
    fields: readonly string[],
    descriptors: readonly number[] = [],
    payload?: Uint8Array,
  ): Promise<string[]> {
    const { promise, resolve, reject } = Promise.withResolvers<string[]>();
    if (this.#socket.destroyed) reject(new AppShotError('ENVIRONMENT_FAILED', { reason: 'it has ended' }));
    else {
      this.#waiting.push({ resolve, reject });
      this.#send(encodeFrame(fields, payload), descriptors);
    }
    return promise;
  }

  /** Descriptors go with the first bytes, by sendmsg; PID 1 reads them with the frame's length. */
  #send(frame: Buffer, descriptors: readonly number[]): void {
    if (descriptors.length === 0) return void this.#socket.write(frame);
    sendFds(socketFd(this.#socket), frame.subarray(0, HEADER), [...descriptors]);
    this.#socket.write(frame.subarray(HEADER));
  }

  close(): void {
    this.#socket.destroy();
  }

  #take(bytes: Buffer): void {
    this.#received = Buffer.concat([this.#received, bytes]);
    while (this.#received.length >= HEADER) {
      const size = this.#received.readUInt32LE(0);
      if (size > LARGEST_FRAME) return void this.#socket.destroy();
      if (this.#received.length < HEADER + size) return;
      const frame = this.#received.subarray(HEADER, HEADER + size);
      this.#received = this.#received.subarray(HEADER + size);
      this.#dispatch(frame);
    }
  }

  #dispatch(frame: Buffer): void {
    const verb = frame.toString('latin1', 0, frame.indexOf(0));
    if (verb === 'criu') return this.#events.engine?.(frame.subarray(5));
    if (verb === 'resuming') return this.#events.resuming?.();
    if (verb === 'criu-ended') return this.#events.engine?.(undefined);
    const fields = split(frame);
    if (verb === 'hello') return this.#greet(fields[1] ?? '', Number(fields[2]));
    if (verb === 'chain-ended') return this.#endChain(Number(fields[1]));
    const waiting = this.#waiting.shift();
    if (verb === 'error') waiting?.reject(refusal(fields));
    else waiting?.resolve(fields);
  }

  #greet(state: string, status: number): void {
    this.hello.resolve({ state, status });
    if (state === 'ended') this.#endChain(status);
  }

  #endChain(status: number): void {
    this.#ended = status;
    this.#events.chainEnded?.(status);
  }

  #end(): void {
    this.#closed = true;
    const error = new AppShotError('ENVIRONMENT_FAILED', { reason: 'its first process has ended' });
    this.hello.reject(error);
    for (const waiting of this.#waiting.splice(0)) waiting.reject(error);
    this.#events.engine?.(undefined);
    this.#events.closed?.();
  }
}
