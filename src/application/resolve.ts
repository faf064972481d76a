/** Finds snapshots by what users call them. */
import { AppShotError } from '../common/index.ts';
import type { ApplicationRecord, SnapshotRecord } from '../registry/index.ts';
import type { House } from './context.ts';

const only = (found: readonly SnapshotRecord[], prefix: string): SnapshotRecord => {
  const [first, ...more] = found;
  if (!first) throw new AppShotError('SNAPSHOT_NOT_FOUND', { snapshot: prefix });
  if (more.length === 0 || first.id === prefix) return first;
  const details = { candidates: found.map(({ id }) => id) };
  throw new AppShotError('SNAPSHOT_AMBIGUOUS', { snapshot: prefix }, { details });
};

/** A snapshot by its ID, or as much of it as no other has. Fails with `SNAPSHOT_NOT_FOUND`, `SNAPSHOT_AMBIGUOUS`. */
export const resolveSnapshot = async (house: House, prefix: string, aid?: string): Promise<SnapshotRecord> =>
  only(
    (await house.registry.listSnapshots(aid)).filter(
      ({ id, kind }) => kind !== 'template' && id.startsWith(prefix),
    ),
    prefix,
  );

/** The one that is named, or the latest. Fails with `NO_SNAPSHOT` as well. */
export const snapshotOrLatest = async (
  house: House,
  record: ApplicationRecord,
  prefix: string | undefined,
): Promise<SnapshotRecord> => {
  if (prefix !== undefined) return resolveSnapshot(house, prefix, record.aid);
  const latest = record.snapshot === null ? undefined : await house.registry.getSnapshot(record.snapshot);
  // A clone that has not slept yet has none of its own.
  if (latest?.aid === record.aid) return latest;
  throw new AppShotError('NO_SNAPSHOT', { name: record.name });
};
