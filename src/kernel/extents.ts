/** Where a sparse file has data: what lies between is a hole, and reads as zeros. Source: lseek(2). */
import { bind, isErrno } from './sys.ts';

const SEEK_DATA = 3;
const SEEK_HOLE = 4;

const lseek = bind('lseek', ['int', 'long', 'int'], 'long');

/** The parts of `[from, to)` of an open file that may hold anything but zeros, in bytes, ascending. Throws `KernelError`. */
export function* dataExtents(
  descriptor: number,
  from: number,
  to: number,
): Generator<[start: number, end: number]> {
  for (let at = from; at < to;) {
    try {
      at = lseek(descriptor, at, SEEK_DATA);
    } catch (error) {
      // Nothing but a hole is left.
      if (isErrno(error, 'ENXIO')) return;
      throw error;
    }
    if (at >= to) return;
    const end = Math.min(to, lseek(descriptor, at, SEEK_HOLE));
    yield [at, end];
    at = end;
  }
}
