/** Lines of a table. `alignment` has a letter a column: `l` for text, `r` for numbers. */
export const table = (alignment: string, rows: readonly (readonly string[])[]): string[] => {
  const widths = Array.from(alignment, (_, at) => Math.max(...rows.map((row) => (row[at] ?? '').length)));
  const cell = (text: string, at: number): string =>
    alignment[at] === 'r' ? text.padStart(widths[at] ?? 0) : text.padEnd(widths[at] ?? 0);
  return rows.map((row) => row.map(cell).join('   ').trimEnd());
};
