import { InvalidArgumentError } from 'commander';
import { formatDuration } from '../common/index.ts';

/** A reader of a number in a range for an option; whole numbers only with `whole`. */
export const parseNumber =
  ({ min, max, whole = false }: { min: number; max: number; whole?: boolean }) =>
  (text: string): number => {
    const value = /^\d+(\.\d+)?$/.test(text) ? Number(text) : Number.NaN;
    if (value >= min && value <= max && (!whole || Number.isSafeInteger(value))) return value;
    throw new InvalidArgumentError(`Give a ${whole ? 'whole ' : ''}number from ${min} to ${max}.`);
  };

/** Lets a reader that throws errors of its own (a duration, a size) serve an option. */
export const parseWith =
  <T>(read: (text: string) => T) =>
  (text: string): T => {
    try {
      return read(text);
    } catch (error) {
      throw new InvalidArgumentError((error as Error).message);
    }
  };

/** Adds up an option that may be given several times. */
export const collect = (text: string, sofar: readonly string[] = []): string[] => [...sofar, text];

/** Milliseconds as people read them. */
export const formatMs = (value: number): string => formatDuration(value / 1000);
