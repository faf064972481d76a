/** Errors as they are thrown and shown: those of the table, filled in. */
import { ERRORS } from './error-table.ts';
import type { ErrorSpec } from './error-spec.ts';

export type ErrorCode = keyof typeof ERRORS;
export type ErrorParameters = Readonly<Record<string, string | number | undefined>>;

const fill = (template: string, parameters: ErrorParameters): string =>
  template.replace(/\{(\w+)\}/g, (whole, key: string) => String(parameters[key] ?? whole));

/** What the API sends and the command line prints with `--json`. */
export interface ErrorBody {
  code: string;
  message: string;
  hint: string;
  details?: Record<string, unknown>;
}

/** An error of the registry: one clear line (what, why), a hint (what to do), a stable code, and evidence. */
export class AppShotError extends Error {
  readonly code: ErrorCode;
  readonly hint: string;
  /** Evidence: the parameters, the end of a log, a tool's arguments. */
  readonly details: Record<string, unknown>;

  constructor(
    code: ErrorCode,
    parameters: ErrorParameters = {},
    options: { cause?: unknown; details?: Record<string, unknown> } = {},
  ) {
    super(
      fill(ERRORS[code].message, parameters),
      options.cause === undefined ? {} : { cause: options.cause },
    );
    this.name = 'AppShotError';
    this.code = code;
    this.hint = fill(ERRORS[code].hint, parameters);
    this.details = { ...parameters, ...options.details };
  }

  get spec(): ErrorSpec {
    return ERRORS[this.code];
  }

  toBody(): ErrorBody {
    return { code: this.code, message: this.message, hint: this.hint, details: this.details };
  }
}

/** A refusal of the kernel, as the room below that speaks to it throws them. */
const isKernelError = (thrown: unknown): thrown is Error & { call: string } =>
  thrown instanceof Error && thrown.name === 'KernelError' && 'call' in thrown;

/** Any thrown value as an error of the registry; what is not one is a bug (`INTERNAL`). */
export const toAppShotError = (thrown: unknown): AppShotError => {
  if (thrown instanceof AppShotError) return thrown;
  if (isKernelError(thrown))
    return new AppShotError(
      'KERNEL_CALL_FAILED',
      { call: thrown.call, errno: thrown.message },
      { cause: thrown },
    );
  const reason = thrown instanceof Error ? thrown.message : String(thrown);
  const stack = thrown instanceof Error ? thrown.stack : undefined;
  return new AppShotError('INTERNAL', { reason }, { cause: thrown, details: { stack } });
};
