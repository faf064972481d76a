/**
 * Translation tables (figures 10 to 15): for each type of resource, what the application calls it (`AID:virtual`) and what the machine
 * calls it (`node:system`), one to one, found from either side.
 */
import { TRANSLATION_TYPES } from '../../api/index.ts';
import type { Translation, TranslationType } from '../../api/index.ts';

/** What is entered; what is left out is empty. */
export type Row = Pick<Translation, 'virtual' | 'system' | 'since'> &
  Partial<Pick<Translation, 'also' | 'objects' | 'note'>>;

/** An entry that would have given one ID two meanings. The table is as it was. */
export class TranslationConflict extends Error {
  constructor(type: TranslationType, id: string, holder: Translation) {
    super(`${type} ${id} is taken: ${holder.virtual} inside is ${holder.system ?? 'nothing'} outside`);
  }
}

/** The entries of one type of one application on one node. */
export class TranslationTable {
  readonly type: TranslationType;
  readonly #node: string;
  readonly #byVirtual = new Map<string, Translation>();
  readonly #bySystem = new Map<string, Translation>();
  readonly #entries = new Set<Translation>();

  constructor(type: TranslationType, node: string) {
    this.type = type;
    this.#node = node;
  }

  /** Throws `TranslationConflict` when either side, or another name of the virtual one, has a translation already. */
  insert(row: Row): void {
    const entry: Translation = {
      ...{ type: this.type, node: this.#node, also: [], objects: [], note: '' },
      ...row,
    };
    const names = [entry.virtual, ...entry.also];
    for (const name of names) this.#refuse(name, this.#byVirtual.get(name));
    if (entry.system !== null) this.#refuse(entry.system, this.#bySystem.get(entry.system));
    for (const name of names) this.#byVirtual.set(name, entry);
    if (entry.system !== null) this.#bySystem.set(entry.system, entry);
    this.#entries.add(entry);
  }

  #refuse(id: string, holder: Translation | undefined): void {
    if (holder) throw new TranslationConflict(this.type, id, holder);
  }

  /** Takes out what the application calls this; false when there is no such thing. */
  remove(virtual: string): boolean {
    const entry = this.#byVirtual.get(virtual);
    if (!entry) return false;
    for (const name of [entry.virtual, ...entry.also]) this.#byVirtual.delete(name);
    if (entry.system !== null) this.#bySystem.delete(entry.system);
    return this.#entries.delete(entry);
  }

  /** From virtual to system (figure 12). */
  toSystem(virtual: string): Translation | undefined {
    return this.#byVirtual.get(virtual);
  }

  /** From system to virtual (figure 13): by the ID itself, of which there is one, or by an object that several may have. */
  toVirtual(system: string): Translation[] {
    const entry = this.#bySystem.get(system);
    return entry ? [entry] : this.entries.filter(({ objects }) => objects.includes(system));
  }

  /** In the order in which they were entered. */
  get entries(): Translation[] {
    return [...this.#entries];
  }
}

/** The tables of one application: one for each type (figure 14). */
export class TranslationTables {
  readonly #tables: ReadonlyMap<TranslationType, TranslationTable>;

  constructor(node: string) {
    this.#tables = new Map(TRANSLATION_TYPES.map((type) => [type, new TranslationTable(type, node)]));
  }

  of(type: TranslationType): TranslationTable {
    return this.#tables.get(type) as TranslationTable;
  }

  get entries(): Translation[] {
    return [...this.#tables.values()].flatMap((table) => table.entries);
  }
}
