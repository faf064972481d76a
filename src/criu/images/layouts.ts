/**
 * In what order messages follow each other in an image, and what raw bytes follow which message.
 *
 * A layout is a generator: it yields what comes next and is told the message that came. Source: CRIU's own reader of its
 * images, `lib/pycriu/images/images.py`, and what writes each of them.
 */
import type { Fields } from '../schema.ts';

export interface Step {
  /** The message's name in CRIU's schema. */
  readonly type: string;
  /** How many raw bytes follow the message: a number, or all that is left of the file. */
  readonly payload?: (message: Fields) => number | 'rest';
  /** Without this message the image is not complete. */
  readonly needed?: boolean;
}

export type Layout = () => Generator<Step, void, Fields>;

const number = (message: Fields, field: string): number => Number(message[field] ?? 0);
const rounded = (size: number, to: number): number => Math.ceil(size / to) * to;

/** Any number of the same message, each with as many bytes behind it as `payload` says. */
export const many = (type: string, payload?: Step['payload']): Layout =>
  function* () {
    for (;;) yield payload === undefined ? { type } : { type, payload };
  };

/** Exactly one message. */
export const one = (type: string, payload?: Step['payload']): Layout =>
  function* () {
    yield payload === undefined ? { type, needed: true } : { type, payload, needed: true };
  };

/** One message, or nothing where there was nothing to save. */
export const atMostOne = (type: string): Layout =>
  function* () {
    yield { type };
  };

/** As many bytes as these fields of the message say together. */
export const bytesIn =
  (...fields: readonly string[]): Step['payload'] =>
  (message) =>
    fields.reduce((sum, field) => sum + number(message, field), 0);

export const pagemap: Layout = function* () {
  yield { type: 'pagemap_head', needed: true };
  yield* many('pagemap_entry')();
};

/** A deleted file: its contents whole, or the parts of it that are no holes. */
export const ghostFile: Layout = function* () {
  const file = yield {
    type: 'ghost_file_entry',
    payload: (message) => (message['chunks'] === true ? 0 : 'rest'),
    needed: true,
  };
  if (file['chunks'] === true) yield* many('ghost_chunk_entry', bytesIn('len'))();
};

/** Queues, each followed by its messages; the text of a message is filled up to eight bytes. */
export const messageQueues: Layout = function* () {
  for (;;) {
    const queue = yield { type: 'ipc_msg_entry' };
    const messages = number(queue, 'qnum');
    for (let index = 0; index < messages; index += 1)
      yield { type: 'ipc_msg', payload: (message) => rounded(number(message, 'msize'), 8), needed: true };
  }
};

/** Two bytes a semaphore, filled up to eight. */
export const semaphores: Layout = many('ipc_sem_entry', (message) =>
  rounded(number(message, 'nsems') * 2, 8),
);

/** The contents, filled up to four bytes, unless they are in a pagemap of their own. */
export const sharedSegments: Layout = many('ipc_shm_entry', (message) =>
  message['inPagemaps'] === true ? 0 : rounded(number(message, 'size'), 4),
);
