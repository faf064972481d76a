/** The guard of memory layers, as this machine's kernel has it (native/guard.c). */
import { run } from '../exec/index.ts';

/**
 * The guard's program, as a dump of a guarded process holds it; undefined where the kernel cannot have one. Restored processes inherit it,
 * and it must not be restored with them.
 */
export const guardFilter = async (init: string): Promise<Uint8Array | undefined> => {
  const { code, stdout } = await run(init, ['guard-filter'], { acceptExit: [0, 1, 2, 126, 127] });
  return code === 0 && stdout.trim() !== '' ? Buffer.from(stdout.trim(), 'hex') : undefined;
};
