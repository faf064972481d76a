/** The guard of memory layers, as this machine's kernel has it (native/guard.c). */
import { run } from '../exec/index.ts';

/** Whether the kernel lets the guard work: a filter with a listener is set, in a process of its own. `init` is the init program. */
export const hasGuard = async (init: string): Promise<boolean> => {
  const { code } = await run(init, ['guard-filter'], { acceptExit: [0, 1, 2, 126, 127] });
  return code === 0;
};
