/**
 * A lock for each key: what runs under one key runs one at a time, in the order it was asked for; other keys do not wait.
 * It is not re-entrant: asking for a key while holding it waits for ever.
 */
interface Queue {
  /** Settles when all that was asked for so far has ended. */
  tail: Promise<unknown>;
  waiting: number;
  holder: string | undefined;
}

export class KeyedLock {
  readonly #queues = new Map<string, Queue>();

  /** The name of the operation that holds the key now, if any: for saying what somebody waits for. */
  holder(key: string): string | undefined {
    return this.#queues.get(key)?.holder;
  }

  /** Resolves when all that was asked for so far, under any key, has ended. */
  async idle(): Promise<void> {
    await Promise.all([...this.#queues.values()].map(({ tail }) => tail));
  }

  /** Runs `action` when all asked for before under this key has ended, well or not; settles as `action` does. */
  async run<T>(key: string, operation: string, action: () => T | Promise<T>): Promise<T> {
    const queue = this.#join(key);
    const before = queue.tail;
    const turn = Promise.withResolvers<void>();
    queue.tail = turn.promise;
    await before;
    queue.holder = operation;
    try {
      return await action();
    } finally {
      this.#leave(key, queue);
      turn.resolve();
    }
  }

  #join(key: string): Queue {
    const queue = this.#queues.get(key) ?? { tail: Promise.resolve(), waiting: 0, holder: undefined };
    this.#queues.set(key, queue);
    queue.waiting += 1;
    return queue;
  }

  #leave(key: string, queue: Queue): void {
    queue.holder = undefined;
    queue.waiting -= 1;
    if (queue.waiting === 0) this.#queues.delete(key);
  }
}
