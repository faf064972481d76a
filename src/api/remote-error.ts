import { AppShotError, ERRORS } from '../common/index.ts';
import type { ErrorBody, ErrorCode, ErrorSpec } from '../common/index.ts';

const isKnown = (code: string): code is ErrorCode => Object.hasOwn(ERRORS, code);

/** An error body as anything may have sent it: what is missing or of another type is made good. */
const toBody = (value: unknown): ErrorBody => {
  const body = (typeof value === 'object' && value !== null ? value : {}) as Record<string, unknown>;
  const text = (key: string, otherwise: string) => (typeof body[key] === 'string' ? body[key] : otherwise);
  return {
    code: text('code', 'INTERNAL'),
    message: text('message', 'the daemon gave no reason'),
    hint: text('hint', "the daemon's log may tell more"),
    details: (body['details'] ?? {}) as Record<string, unknown>,
  };
};

/**
 * An error that the daemon sent, with its own words. A daemon of another version may send a code that this registry does not
 * have: the code stays as it came, and the HTTP status tells whether it was a mistake.
 */
export class RemoteError extends AppShotError {
  readonly #status: number;

  constructor(value: unknown, status: number) {
    const body = toBody(value);
    super(isKnown(body.code) ? body.code : 'INTERNAL');
    this.#status = status;
    Object.assign(this, { ...body, name: 'AppShotError' });
  }

  override get spec(): ErrorSpec {
    if (isKnown(this.code)) return ERRORS[this.code];
    const isMistake = this.#status < 500;
    return {
      ...ERRORS.INTERNAL,
      exit: this.#status === 400 ? 2 : 1,
      kind: isMistake ? 'mistake' : 'fault',
    };
  }
}
