/** Structured logs: one JSON object a line, to standard error, so that standard output stays the command's own. */
import { pino } from 'pino';
import type { DestinationStream, LevelWithSilent, Logger } from 'pino';

export type { Logger };

export type LogLevel = LevelWithSilent;

/**
 * Writes synchronously: the last line before an end by a signal is the one that matters. An error logged as `err` keeps its code,
 * hint and details.
 */
export const createLogger = (
  options: { level?: LogLevel; destination?: DestinationStream | undefined } = {},
): Logger =>
  pino(
    {
      level: options.level ?? 'info',
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
    },
    options.destination ?? pino.destination({ fd: 2, sync: true }),
  );
