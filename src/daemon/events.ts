/** What happened, in order, for whoever listens: the newest events are kept, older ones are forgotten. */
import type { AppEvent } from '../api/index.ts';
import type { ApplicationRecord } from '../registry/index.ts';

const KEPT = 10_000;

export interface EventDetail {
  readonly reason?: string;
  readonly data?: Record<string, unknown>;
}

export class Events {
  readonly #kept: AppEvent[] = [];
  readonly #listeners = new Set<(event: AppEvent) => void>();
  #last = 0;

  emit(
    type: string,
    record?: Pick<ApplicationRecord, 'aid' | 'name'>,
    { reason, data }: EventDetail = {},
  ): void {
    const event: AppEvent = {
      id: ++this.#last,
      at: new Date().toISOString(),
      type,
      ...(record ? { aid: record.aid, name: record.name } : {}),
      ...(reason === undefined ? {} : { reason }),
      ...(data === undefined ? {} : { data }),
    };
    this.#kept.push(event);
    if (this.#kept.length > KEPT) this.#kept.shift();
    for (const listener of this.#listeners) listener(event);
  }

  /** The events kept whose ID is greater. */
  since(id: number): AppEvent[] {
    return this.#kept.filter((event) => event.id > id);
  }

  /** Calls back for each event from now on, until the returned function is called. */
  listen(listener: (event: AppEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }
}
