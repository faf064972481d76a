import { AppShotError, sanitiseLine } from '../../common/index.ts';

/** Where something is written: what messages call the text, and line and column from 1. */
export interface Place {
  readonly file: string;
  readonly line: number;
  readonly column: number;
}

/** What is wrong with a rule, and where. */
export const badRules = ({ file, line, column }: Place, reason: string): AppShotError =>
  new AppShotError('BAD_RULES', { file, line, column, reason });

/** The place some characters further on in the same line. */
export const shift = (place: Place, by: number): Place => ({ ...place, column: place.column + by });

/** What someone wrote, fit for a message. */
export const show = (text: string): string => sanitiseLine(text.length > 40 ? `${text.slice(0, 40)}…` : text);
