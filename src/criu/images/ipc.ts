/** What a dump holds of System V: segments, semaphores and queues, which belong to no process. */
import type { Fields } from '../schema.ts';
import { numberIn, part } from './access.ts';
import type { Image } from './codec.ts';

export interface SavedIpc {
  readonly kind: 'memory' | 'semaphores' | 'queue';
  /** Zero is a private one, which nobody finds by its key. */
  readonly key: number;
  readonly id: number;
  /** Of memory its bytes, of semaphores and of messages how many there are. */
  readonly size: number;
}

const KINDS: readonly (readonly [image: RegExp, kind: SavedIpc['kind'], size: string])[] = [
  [/^ipcns-shm-/, 'memory', 'size'],
  [/^ipcns-sem-/, 'semaphores', 'nsems'],
  [/^ipcns-msg-/, 'queue', 'qnum'],
];

const describe = (message: Fields, kind: SavedIpc['kind'], size: string): SavedIpc[] => {
  const description = part(message, 'desc');
  // Behind a queue come its messages, which have none.
  if (!description) return [];
  const [key, id] = [numberIn(description, 'key'), numberIn(description, 'id')];
  return [{ kind, key, id, size: numberIn(message, size) }];
};

export const ipcOf = (images: readonly Image[]): SavedIpc[] =>
  KINDS.flatMap(([pattern, kind, size]) =>
    images
      .filter(({ name }) => pattern.test(name))
      .flatMap(({ entries }) => entries.flatMap(({ message }) => describe(message, kind, size))),
  );
