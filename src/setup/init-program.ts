/** Compiles the init of the environments' PID namespaces: small, static, and named by its source, so it's made once. */
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { chmod, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { run } from '../exec/index.ts';
import { moveIntoPlace, withTemporaryDirectory } from './files.ts';

/** The package's own copy, beside `src/` in a checkout and beside `dist/` when installed. */
const INIT_SOURCE = join(import.meta.dirname, '../../native/init.c');

const FLAGS = ['-static', '-O2', '-Wall', '-Wextra', '-Werror'];

/** The first 12 hexadecimal digits of the source's SHA-256. Throws an Error when the package lacks the file. */
export const hashOfSource = async (source: string = INIT_SOURCE): Promise<string> => {
  const text = await readFile(source).catch((cause: unknown) => {
    throw new Error(`the package is incomplete, install it again: ${source} is missing`, { cause });
  });
  return createHash('sha256').update(text).digest('hex').slice(0, 12);
};

/** Compiles `source` to `DIRECTORY/init-HASH`, unless it is there. Returns the path. */
export const compileInit = async (directory: string, source: string = INIT_SOURCE): Promise<string> => {
  const path = join(directory, `init-${await hashOfSource(source)}`);
  if (existsSync(path)) return path;
  await withTemporaryDirectory(directory, async (work) => {
    const made = join(work, 'init');
    await run('gcc', [...FLAGS, '-o', made, source]);
    await run('strip', [made]);
    await chmod(made, 0o755);
    await run('sync', [made]);
    await moveIntoPlace(made, path);
  });
  return path;
};
