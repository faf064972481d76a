/** Keys of a Compose file that mean something else here, or nothing. */
const COMPOSE: Readonly<Record<string, string>> = {
  build: 'programs come from this machine; nothing is built',
  cap_add: 'write capabilities: {add: [...]}',
  cap_drop: 'write capabilities: {drop: [...]}',
  depends_on: 'processes start in the order in which they are written',
  entrypoint: 'write the whole command in command',
  expose: 'every application has an address of its own; every port is reachable there',
  image: 'programs come from this machine; there is no image',
  mem_limit: 'write limits: {memory: ...}',
  networks: 'every application has an address in the network of the daemon',
  pids_limit: 'write limits: {pids: ...}',
  ports: 'every application has an address of its own; every port is reachable there',
  version: 'the format has no version to name',
};

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

/** Why a key is unknown, with what was probably meant. */
export const explainUnknownKey = (key: string, known: readonly string[]): string => {
  const [nearest] = known
    .map((name) => ({ name, far: distance(key.slice(0, 64).toLowerCase(), name.toLowerCase()) }))
    .filter(({ name, far }) => far <= Math.max(1, Math.floor(name.length * 0.4)))
    .toSorted((a, b) => a.far - b.far);
  if (nearest !== undefined) return `unknown key; did you mean ${nearest.name}?`;
  if (Object.hasOwn(COMPOSE, key)) return `unknown key; ${COMPOSE[key]}`;
  return `unknown key; known are ${known.join(', ')}`;
};
