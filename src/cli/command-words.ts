import { AppShotError } from '../common/index.ts';

/** The words of a command to run, without the `--` before them. */
export const commandOf = (words: readonly string[]): string[] => {
  const command = words[0] === '--' ? words.slice(1) : [...words];
  if ((command[0] ?? '') === '') throw new AppShotError('USAGE', { reason: 'the command to run is missing' });
  return command;
};

/** A name for an application that has none: that of its program, as far as it makes a host name. */
export const deriveName = ([program = '']: readonly string[]): string => {
  const base = program.slice(program.lastIndexOf('/') + 1).toLowerCase();
  const stem = base.replace(/\.[^]*$/, '').replace(/[^a-z0-9]+/g, '-');
  const name = stem.replace(/^[^a-z]+/, '').slice(0, 63);
  return name.replace(/-+$/, '') || 'app';
};
