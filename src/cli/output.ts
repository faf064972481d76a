import { sanitiseLine } from '../common/index.ts';

export const print = (line: string): void => {
  process.stdout.write(`${line}\n`);
};

/** One value a line, so that several make NDJSON. */
export const printJson = (value: unknown): void => print(JSON.stringify(value));

/** Whoever reads may stop early (`appshot logs web | head`): that is no failure. */
export const endOnClosedPipe = (): void => {
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error;
    process.exit();
  });
};

/** Rows under headings, as wide as they need be; cells are made safe for a terminal. The last column is not padded. */
export const formatTable = (headings: readonly string[], rows: readonly (readonly string[])[]): string => {
  const lines = [headings, ...rows.map((row) => row.map(sanitiseLine))];
  const widths = headings.map((_, column) => Math.max(...lines.map((line) => (line[column] ?? '').length)));
  return lines
    .map((line) =>
      line
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
};

/** `name: value` lines with the values below each other; a value that is undefined is left out. */
export const formatFields = (fields: Readonly<Record<string, string | undefined>>): string => {
  const given = Object.entries(fields).filter(([, value]) => value !== undefined);
  const width = Math.max(0, ...given.map(([name]) => name.length)) + 2;
  return given.map(([name, value]) => `${`${name}:`.padEnd(width)}${sanitiseLine(value ?? '')}`).join('\n');
};
