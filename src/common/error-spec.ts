/** What is known of each error, and the two kinds there are. */
export interface ErrorSpec {
  /** HTTP status of the API's answer. */
  readonly status: 400 | 403 | 404 | 409 | 422 | 500 | 503 | 507;
  /** Exit code of the command line: 1 failed, 2 usage. */
  readonly exit: 1 | 2;
  readonly kind: 'mistake' | 'fault';
  readonly message: string;
  readonly hint: string;
}

export const mistake = (
  status: ErrorSpec['status'],
  exit: 1 | 2,
  message: string,
  hint: string,
): ErrorSpec => ({
  status,
  exit,
  kind: 'mistake',
  message,
  hint,
});
export const fault = (status: ErrorSpec['status'], message: string, hint: string): ErrorSpec => ({
  status,
  exit: 1,
  kind: 'fault',
  message,
  hint,
});
