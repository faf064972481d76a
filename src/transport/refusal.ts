/** Why something that arrives is not taken. The outermost function knows what it is called and names it. */
import { AppShotError } from '../common/index.ts';

type RefusalCode =
  'BUNDLE_CORRUPT' | 'BUNDLE_FOREIGN' | 'BUNDLE_KEY' | 'BUNDLE_SIGNATURE' | 'BUNDLE_UNSIGNED';

export class Refusal extends Error {
  readonly code: RefusalCode;

  constructor(code: RefusalCode, reason: string, cause?: unknown) {
    super(reason, cause === undefined ? {} : { cause });
    this.code = code;
  }
}

export const damaged = (reason: string, cause?: unknown): Refusal =>
  new Refusal('BUNDLE_CORRUPT', reason, cause);

/** Runs `work`; a refusal leaves it as an error of the registry that says what `where` is. */
export const naming = async <T>(where: string, work: () => Promise<T>): Promise<T> => {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    throw new AppShotError(error.code, { where, reason: error.message }, { cause: error });
  }
};
