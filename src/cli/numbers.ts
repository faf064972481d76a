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

export interface InstancesRange {
  readonly min: number;
  readonly max: number;
  /** What further ones are cloned from; left out, what a file says of it. */
  readonly template?: string;
}

/** `MIN..MAX`, `MIN..MAX:TEMPLATE`. */
export const parseInstances = (text: string): InstancesRange => {
  const [, min, max, template] = /^(\d{1,4})\.\.(\d{1,4})(?::(.+))?$/.exec(text) ?? [];
  if (max === undefined)
    throw new InvalidArgumentError('Give MIN..MAX or MIN..MAX:TEMPLATE, such as 1..5:web.');
  const range = { min: Number(min), max: Number(max) };
  return template === undefined ? range : { ...range, template };
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
