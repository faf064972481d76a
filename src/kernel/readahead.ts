/** Asks the kernel to read parts of a file into its cache. Source: posix_fadvise(2). */
import { bind } from './sys.ts';

const WILL_NEED = 3;

const fadvise = bind('posix_fadvise', ['int', 'long', 'long', 'int']);

/** Returns at once; what is in the cache already costs next to nothing. Offset and length in bytes. */
export const readAhead = (descriptor: number, offset: number, length: number): void => {
  fadvise(descriptor, offset, length, WILL_NEED);
};
