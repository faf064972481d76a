/** Keeps signals from interrupting a call into a library that does not expect them. */
import { bind } from './sys.ts';

const SIG_BLOCK = 0;
const SIG_SETMASK = 2;
/** `sigset_t` of glibc. */
const SET_SIZE = 128;

const pthreadSigmask = bind('pthread_sigmask', ['int', 'void *', 'void *']);
const all = Buffer.alloc(SET_SIZE, 0xff);
const before = Buffer.alloc(SET_SIZE);

/**
 * Runs `call`, which must be synchronous, with all signals blocked on this thread. They reach another thread meanwhile, or this one
 * afterwards. Calls may not be nested.
 */
export const withoutSignals = <Result>(call: () => Result): Result => {
  pthreadSigmask(SIG_BLOCK, all, before);
  try {
    return call();
  } finally {
    pthreadSigmask(SIG_SETMASK, before, null);
  }
};
