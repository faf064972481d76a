/** What a daemon told of while somebody listened: decisions of its scheduler, and what became of its applications. */
import type { Client } from '../../src/api/client.ts';
import type { AppEvent } from '../../src/api/index.ts';

/** A decision of the scheduler, as its event tells it. */
export interface Told {
  /** Milliseconds since 1970. */
  readonly at: number;
  readonly kind: string;
  readonly code: string;
  readonly name: string;
  readonly reason: string;
}

const told = ({ at, name = '', reason = '', data = {} }: AppEvent): Told => ({
  at: Date.parse(at),
  kind: String(data['kind']),
  code: String(data['code']),
  name,
  reason,
});

export interface Waking {
  readonly aid: string;
  /** When it ran; milliseconds since 1970. */
  readonly at: number;
}

export class Journal implements AsyncDisposable {
  readonly #events: AppEvent[] = [];
  readonly #end = new AbortController();
  readonly #read: Promise<void>;
  #more = Promise.withResolvers<void>();

  /** Listens from now on, until it is disposed of. */
  static async open(client: Client): Promise<Journal> {
    let since = 0;
    for await (const { id } of client.events()) since = id;
    return new Journal(client, since);
  }

  private constructor(client: Client, since: number) {
    this.#read = this.#listen(client, since);
    // Who waits for an event is told; who disposes of the journal, too.
    this.#read.catch(() => undefined);
  }

  async #listen(client: Client, since: number): Promise<void> {
    const { signal } = this.#end;
    try {
      for await (const event of client.events({ since, follow: true, signal })) {
        this.#events.push(event);
        this.#more.resolve();
        this.#more = Promise.withResolvers();
      }
    } catch (error) {
      if (!signal.aborted) throw error;
    }
  }

  get events(): readonly AppEvent[] {
    return this.#events;
  }

  get decisions(): Told[] {
    return this.#events.filter(({ type }) => type === 'decision').map(told);
  }

  /** Wakes that were begun and ended well. */
  get wakings(): Waking[] {
    return this.#events
      .filter(({ type, data }) => type === 'running' && data?.['ms'] !== undefined)
      .map(({ aid = '', at }) => ({ aid, at: Date.parse(at) }));
  }

  /** The first event, of those that were told already too, for which it holds. Rejects when none comes in time. */
  async until(holds: (event: AppEvent) => boolean, timeoutMs: number): Promise<AppEvent> {
    const signal = AbortSignal.timeout(timeoutMs);
    const late = Promise.withResolvers<never>();
    signal.addEventListener('abort', () => late.reject(new Error(`nothing of the kind in ${timeoutMs} ms`)));
    for (;;) {
      const found = this.#events.find(holds);
      if (found) return found;
      await Promise.race([this.#more.promise, this.#read, late.promise]);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#end.abort();
    await this.#read;
  }
}

export const isDecision =
  (kind: string, ...codes: string[]) =>
  ({ type, data = {} }: AppEvent): boolean =>
    type === 'decision' &&
    data['kind'] === kind &&
    (codes.length === 0 || codes.includes(String(data['code'])));
