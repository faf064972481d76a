/** Durations and sizes as users write them (`30s`, `64m`), as numbers inside: seconds and bytes. */
import { AppShotError } from './errors.ts';

const SECONDS = { ms: 0.001, s: 1, m: 60, h: 3600, d: 86400 } as const;
const BYTES = { b: 1, k: 1024, m: 1024 ** 2, g: 1024 ** 3, t: 1024 ** 4 } as const;

const refuse = (text: string, what: string, example: string): AppShotError =>
  new AppShotError('USAGE', { reason: `'${text}' is not a ${what}: write it like ${example}` });

/** `500ms`, `30s`, `1.5m`, `1h`, `2d` in seconds. A unit is required; throws USAGE for anything else. */
export const parseDuration = (text: string): number => {
  const match = /^(\d{1,12}(?:\.\d{1,6})?)(ms|s|m|h|d)$/.exec(text);
  if (match === null) throw refuse(text, 'duration', '500ms, 30s, 5m, 1h or 2d');
  return Number(match[1]) * SECONDS[match[2] as keyof typeof SECONDS];
};

/**
 * `512k`, `64m`, `1.5g`, `2GiB` or `4096` in bytes, a whole number; a unit is a power of 1024, as with Docker. Throws USAGE for anything
 * else and for more than 2^53.
 */
export const parseSize = (text: string): number => {
  const match = /^(\d{1,16}(?:\.\d{1,6})?) ?(?:([kmgt])(?:i?b)?|b)?$/.exec(text.toLowerCase());
  const unit = (match?.[2] ?? 'b') as keyof typeof BYTES;
  const bytes = Math.round(Number(match?.[1] ?? Number.NaN) * BYTES[unit]);
  if (!Number.isSafeInteger(bytes)) throw refuse(text, 'size', '512k, 64m or 2g');
  return bytes;
};

/** At most one decimal, and none when it would be zero. */
const short = (value: number): string => String(Math.round(value * 10) / 10);

/** The largest unit of which there is one at least: `0.4ms`, `12ms`, `1.5s`, `3m`, `2.5h`, `4d`. */
export const formatDuration = (seconds: number): string => {
  if (seconds < 1) return `${short(seconds * 1000)}ms`;
  if (seconds < 60) return `${short(seconds)}s`;
  if (seconds < 3600) return `${short(seconds / 60)}m`;
  return seconds < 86400 ? `${short(seconds / 3600)}h` : `${short(seconds / 86400)}d`;
};

/** The largest unit of which there is one at least: `512 B`, `1.5 KiB`, `64 MiB`. */
export const formatSize = (bytes: number): string => {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  const power = bytes < 1 ? 0 : Math.min(Math.floor(Math.log2(bytes) / 10), units.length - 1);
  return `${short(bytes / 1024 ** power)} ${units[power]}`;
};
