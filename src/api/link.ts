import type { LinkSpec } from './schemas.ts';

/**
 * A symbolic link as users write it, in `appshot.yaml` and on the command line: `PATH=TARGET`, of which the first `=` counts.
 *
 * @throws Error with the reason
 */
export const readLink = (text: string): LinkSpec => {
  const equals = text.indexOf('=');
  if (equals < 1 || equals === text.length - 1) throw new Error(`'${text}' is not PATH=TARGET`);
  return { path: text.slice(0, equals), target: text.slice(equals + 1) };
};
