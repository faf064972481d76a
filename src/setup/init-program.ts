/** Compiles the init of the environments' PID namespaces: small, static, and named by its sources, so it's made once. */
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { chmod, readFile, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { run } from '../exec/index.ts';
import { moveIntoPlace, withTemporaryDirectory } from './files.ts';

/** The package's own copy, beside `src/` in a checkout and beside `dist/` when installed. */
const INIT_SOURCES = join(import.meta.dirname, '../../native');

const FLAGS = ['-static', '-O2', '-Wall', '-Wextra', '-Werror'];

/** The sources in `directory`, headers too. Throws an Error when the package lacks them. */
const sourcesIn = async (directory: string): Promise<string[]> => {
  const names = await readdir(directory).catch((cause: unknown) => {
    throw new Error(`the package is incomplete, install it again: ${directory} is missing`, { cause });
  });
  return names
    .filter((name) => /\.[ch]$/.test(name))
    .toSorted()
    .map((name) => join(directory, name));
};

/** The first 12 hexadecimal digits of the SHA-256 of all sources in `directory`. */
export const hashOfSource = async (directory: string = INIT_SOURCES): Promise<string> => {
  const hash = createHash('sha256');
  for (const source of await sourcesIn(directory)) hash.update(await readFile(source));
  return hash.digest('hex').slice(0, 12);
};

/** Compiles the sources in `sources` to `DIRECTORY/init-HASH`, unless it is there. Returns the path. */
export const compileInit = async (directory: string, sources: string = INIT_SOURCES): Promise<string> => {
  const path = join(directory, `init-${await hashOfSource(sources)}`);
  if (existsSync(path)) return path;
  const files = (await sourcesIn(sources)).filter((name) => name.endsWith('.c'));
  await withTemporaryDirectory(directory, async (work) => {
    const made = join(work, 'init');
    await run('gcc', [...FLAGS, '-o', made, ...files]);
    await run('strip', [made]);
    await chmod(made, 0o755);
    await run('sync', [made]);
    await moveIntoPlace(made, path);
  });
  return path;
};
