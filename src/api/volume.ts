/** Volumes as users write them, in `appshot.yaml` and on the command line: `source:target`, `source:target:ro`. */
import { homedir } from 'node:os';
import { posix } from 'node:path';
import type { VolumeSpec } from './schemas.ts';

/** An absolute path: `~/` begins at the caller's home, anything relative in `directory`. */
export const resolvePath = (text: string, directory: string): string =>
  posix.resolve(directory, text.replace(/^~(?=\/|$)/, homedir()));

/** @throws Error with the reason when it is not a path; there are no named volumes as Docker has them */
export const readVolumeSource = (text: string, directory: string): string => {
  if (/^(\/|\.{1,2}(\/|$)|~(\/|$))/.test(text)) return resolvePath(text, directory);
  throw new Error(`'${text}' is not a path: begin it with /, ./, ../ or ~/ (there are no named volumes)`);
};

/** @throws Error with the reason */
export const readVolume = (text: string, directory: string): VolumeSpec => {
  const [source = '', target = '', mode, ...rest] = text.split(':');
  if (rest.length > 0 || target === '') throw new Error(`'${text}' is not source:target or source:target:ro`);
  if (mode !== undefined && mode !== 'ro' && mode !== 'rw') throw new Error(`'${mode}' is neither ro nor rw`);
  return { source: readVolumeSource(source, directory), target, readOnly: mode === 'ro' };
};
