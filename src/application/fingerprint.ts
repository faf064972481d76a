/** What a snapshot needs to find where it wakes: this machine, and the files that the processes have mapped. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { Environment } from '../environments/index.ts';
import type { ApplicationRecord } from '../registry/index.ts';
import {
  SNAPSHOT_FORMAT,
  compareFingerprints,
  machineFingerprint,
  mappedFiles,
  refuseDifferences,
} from '../snapshots/index.ts';
import type { FileToIdentify, Fingerprint, Manifest } from '../snapshots/index.ts';
import type { House, Work } from './context.ts';
import { isShared, withFilesBeneath } from './identity.ts';
import { mappingsOf } from './processes.ts';

/** What AppShot itself shows to applications: its program, and the layers of their memory. */
const OWN_FILES = '/.appshot/';

/** Whether a file is the application's own: then it travels with the snapshot. */
const isOwn = (house: House, record: ApplicationRecord, path: string): boolean =>
  path.startsWith('/dev/shm/') ||
  isShared(record, path) ||
  existsSync(join(house.layout.application(record.aid).upper, path)) ||
  withFilesBeneath(
    house,
    record,
    (beneath) => beneath !== undefined && existsSync(join(beneath.upper, path)),
  );

const mappedBy = (house: House, record: ApplicationRecord, pids: readonly number[]): FileToIdentify[] => {
  const found = new Map<string, FileToIdentify>();
  for (const pid of pids)
    for (const { range, permissions, path } of mappingsOf(pid)) {
      const executable = permissions.includes('x');
      const known = found.get(path);
      if (path.startsWith(OWN_FILES)) continue;
      if (known) {
        if (executable && known.executable !== true) found.set(path, { ...known, executable });
      } else if (!isOwn(house, record, path))
        found.set(path, { path, hostPath: `/proc/${pid}/map_files/${range}`, executable });
    }
  return [...found.values()];
};

const machineOf = (house: House): Fingerprint['machine'] =>
  machineFingerprint({ engine: house.engine.version, format: SNAPSHOT_FORMAT });

/** Of a running application. About 10 µs for each file that was looked at before. */
export const takeFingerprint = async (
  { house, record }: Work,
  environment: Environment,
): Promise<Fingerprint> => ({
  machine: machineOf(house),
  files: await mappedFiles(mappedBy(house, record, house.processesIn(environment.id))),
});

/** Where a file of the application would be found on this machine. */
const hostPath = ({ spec }: Pick<ApplicationRecord, 'spec'>, path: string): string => {
  const volume = spec.volumes.find(({ target }) => path === target || path.startsWith(`${target}/`));
  return volume ? join(volume.source, path.slice(volume.target.length)) : path;
};

/** Refuses a snapshot that does not fit this machine. Fails with `FINGERPRINT_MISMATCH`, naming each difference. */
export const checkFingerprint = async (
  house: House,
  record: Pick<ApplicationRecord, 'name' | 'spec'>,
  { fingerprint }: Manifest,
  force: boolean,
): Promise<void> => {
  const here = {
    machine: machineOf(house),
    files: await mappedFiles(
      fingerprint.files.map(({ path }) => ({ path, hostPath: hostPath(record, path) })),
    ),
  };
  refuseDifferences(record.name, compareFingerprints(fingerprint, here), { force });
};
