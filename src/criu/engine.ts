/**
 * The engine record: which CRIU this machine uses and what belongs to it.
 *
 * Set-up writes `engine.json` last, once everything it names is in place and a trial dump and restore has passed; the
 * daemon only reads it. All paths in it are absolute. Docs: docs/engine.md.
 */
import { accessSync, constants, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { AppShotError } from '../common/index.ts';

const ENGINE_FILE = 'engine.json';
/** A record is a few hundred bytes; what is larger than this was not written by set-up. */
const LARGEST_RECORD = 64 * 1024;

const absolutePath = z.string().startsWith('/', 'is not an absolute path');

const engineSchema = z.object({
  /** Version of this record's form. */
  format: z.literal(1),
  /** CRIU's own version, such as `4.1.1`. */
  version: z.string().regex(/^\d+\.\d+(\.\d+)*$/, 'is not a version'),
  /** `distribution`: the package of this system. `private`: a verified copy under the engine directory. */
  source: z.enum(['distribution', 'private']),
  /** Program and first arguments that start CRIU; its own arguments follow. Starts with an absolute path. */
  command: z.tuple([absolutePath], z.string()),
  /** A serialized FileDescriptorSet of CRIU's images and of its RPC protocol. */
  descriptors: absolutePath,
  /** The init of an environment's PID namespace, statically linked. */
  init: absolutePath,
  /** Kernel release and machine on which the trial passed, as `uname` prints them. */
  testedOn: z.object({ kernel: z.string(), machine: z.string() }),
});

export type Engine = z.infer<typeof engineSchema>;

/** The engine directory: `APPSHOT_ENGINE_DIR`, or `/var/lib/appshot/engine`. */
export const defaultEngineDir = (): string => process.env['APPSHOT_ENGINE_DIR'] || '/var/lib/appshot/engine';

export const engineFile = (directory: string): string => join(directory, ENGINE_FILE);

const missing = (reason: string, cause?: unknown): AppShotError =>
  new AppShotError('ENGINE_MISSING', { reason }, { cause });

const readRecord = (path: string): unknown => {
  try {
    if (statSync(path).size > LARGEST_RECORD) throw missing(`${path} is too large for an engine record`);
    return JSON.parse(readFileSync(path, 'utf8'));
  } catch (error) {
    if (error instanceof AppShotError) throw error;
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') throw missing(`${path} does not exist`, error);
    throw missing(`${path} cannot be read: ${error instanceof Error ? error.message : String(error)}`, error);
  }
};

const checkFiles = (engine: Engine): void => {
  // A private CRIU is an argument of its own dynamic linker, so it is looked for among all absolute arguments.
  const programs = [engine.init, ...engine.command.filter((argument) => argument.startsWith('/'))];
  for (const [path, mode] of [
    [engine.descriptors, constants.R_OK] as const,
    ...programs.map((program) => [program, constants.X_OK] as const),
  ]) {
    try {
      accessSync(path, mode);
    } catch (error) {
      throw missing(`the engine record names ${path}, which cannot be used`, error);
    }
  }
};

/**
 * Reads and checks the record of an engine directory, and that every file it names is there.
 * Throws `ENGINE_MISSING` with the reason; its hint is to run `appshot setup`.
 */
export const loadEngine = (directory: string = defaultEngineDir()): Engine => {
  const path = engineFile(directory);
  const parsed = engineSchema.safeParse(readRecord(path));
  if (!parsed.success) {
    const issue = parsed.error.issues[0];
    throw missing(`${path} is not valid: ${issue?.path.join('.')}: ${issue?.message}`);
  }
  checkFiles(parsed.data);
  return parsed.data;
};
