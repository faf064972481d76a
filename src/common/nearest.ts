/** How many letters must be added, left out, changed or swapped with their neighbour. */
const distance = (a: string, b: string): number => {
  const rows = [Array.from({ length: b.length + 1 }, (_, column) => column)];
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    const cell = (up: number, left: number) => rows[i - up]?.[left] ?? Infinity;
    for (let j = 1; j <= b.length; j++) {
      const changed = cell(1, j - 1) + (a[i - 1] === b[j - 1] ? 0 : 1);
      const isSwap = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1];
      const swapped = isSwap ? cell(2, j - 2) + 1 : Infinity;
      row.push(Math.min(cell(1, j) + 1, (row[j - 1] ?? Infinity) + 1, changed, swapped));
    }
    rows.push(row);
  }
  return rows[a.length]?.[b.length] ?? Infinity;
};

/** The known word that was probably meant, whatever the case; undefined when none is near. */
export const findNearest = (word: string, known: readonly string[]): string | undefined =>
  known
    .map((name) => ({ name, far: distance(word.slice(0, 64).toLowerCase(), name.toLowerCase()) }))
    .filter(({ name, far }) => far <= Math.max(1, Math.floor(name.length * 0.4)))
    .toSorted((a, b) => a.far - b.far)[0]?.name;
