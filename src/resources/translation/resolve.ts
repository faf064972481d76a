/** One ID, from either side (figures 12, 13 and 15). A path is translated whether or not something has it open. */
import type { Translation, TranslationType } from '../../api/index.ts';
import type { Registered } from './facts.ts';
import { TranslationTable } from './table.ts';
import type { TranslationTables } from './table.ts';

const unusedPath = ({ node }: Registered, virtual: string, system: string): Translation[] => {
  const table = new TranslationTable('path', node);
  table.insert({ virtual, system, since: 'allocation', note: 'not in use' });
  return table.entries;
};

/** What is behind a virtual ID: one, or none. */
export const toSystem = (
  tables: TranslationTables,
  registered: Registered,
  { type, id }: { readonly type: TranslationType; readonly id: string },
): Translation[] => {
  const found = tables.of(type).toSystem(id);
  if (found) return [found];
  const path = type === 'path' ? registered.places.toMachine(id) : undefined;
  return path === undefined ? [] : unusedPath(registered, id, path);
};

/** What a system ID is called inside: one, or none; by an object that several share, all of them. */
export const toVirtual = (
  tables: TranslationTables,
  registered: Registered,
  { type, id }: { readonly type: TranslationType; readonly id: string },
): Translation[] => {
  const found = tables.of(type).toVirtual(id);
  const path = found.length === 0 && type === 'path' ? registered.places.toInside(id) : undefined;
  return path === undefined ? found : unusedPath(registered, path, id);
};
