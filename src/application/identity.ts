/** Who an application is, for its programs: what the registry knows, and what it is a clone of. */
import { hostname as node } from 'node:os';
import type { LayersBeneath } from '../environments/index.ts';
import type { Identity } from '../harness/index.ts';
import type { ApplicationRecord } from '../registry/index.ts';
import type { Places } from '../templates/index.ts';
import type { House } from './context.ts';

/** What a clone remembers of the template that it began from. */
export interface Origin {
  readonly id: string;
  readonly name: string;
  readonly instance: number;
  /** Digest of the tree of the template's files, which lie below its own; null when it has files of its own alone. */
  readonly tree: string | null;
}

export const originOf = ({ data }: Pick<ApplicationRecord, 'data'>): Origin | undefined =>
  data['template'] as Origin | undefined;

/** Where its links and redirections lead; undefined when it has none. */
export const placesOf = ({ data }: Pick<ApplicationRecord, 'data'>): Places | undefined =>
  data['places'] as Places | undefined;

/** The paths of a clone that lead to what all clones of its template have together, by number. */
export const sharedOf = ({ data }: Pick<ApplicationRecord, 'data'>): readonly string[] =>
  (data['shared'] as string[] | undefined) ?? [];

/** Whether a path lies in what an application has together with others. */
export const isShared = (record: Pick<ApplicationRecord, 'data'>, path: string): boolean =>
  sharedOf(record).some((one) => path === one || path.startsWith(`${one}/`));

/** Whether others may write to a path while an application sleeps: on a volume, or in what it has together with them. */
export const isCommon = (record: Pick<ApplicationRecord, 'data' | 'spec'>, path: string): boolean =>
  isShared(record, path) ||
  record.spec.volumes.some(({ target }) => path === target || path.startsWith(`${target}/`));

/** How often the memory of an application has been cloned. */
export const generationOf = ({ data }: Pick<ApplicationRecord, 'data'>): number =>
  Number(data['generation'] ?? 0);

/** Calls `use` with the template's files that lie below those of a clone; with nothing for other applications. */
export const withFilesBeneath = <T>(
  { layout, images }: Pick<House, 'layout' | 'images'>,
  record: Pick<ApplicationRecord, 'data'>,
  use: (beneath: LayersBeneath | undefined) => T,
): T => {
  const origin = originOf(record);
  if (origin === undefined || origin.tree === null) return use(undefined);
  const { image, place } = layout.template(origin.id);
  return images.use(image, place, use);
};

export const identityOf = (
  record: Pick<ApplicationRecord, 'aid' | 'name' | 'hostname' | 'address' | 'data'>,
): Identity => {
  const { aid, name, hostname, address, data } = record;
  const origin = originOf(record);
  return {
    aid,
    name,
    hostname,
    address,
    instance: origin?.instance ?? 0,
    template: origin?.name ?? '',
    generation: generationOf(record),
    node: node(),
    variables: (data['variables'] as Record<string, string> | undefined) ?? {},
  };
};
