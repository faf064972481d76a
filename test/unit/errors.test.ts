/** The registry of errors and its page in the documentation say the same. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { AppShotError, ERRORS, toAppShotError } from '../../src/common/index.ts';
import type { ErrorCode, ErrorSpec } from '../../src/common/index.ts';

const page = await readFile(join(import.meta.dirname, '../../docs/errors.md'), 'utf8');
const specs = Object.entries(ERRORS) as [ErrorCode, ErrorSpec][];

/** A table's cell cannot hold a bare bar, and angle brackets would be markup. */
const cell = (text: string): string => text.replaceAll('|', String.raw`\|`);

/** `| CODE | 404 | 1 | message | hint |`, whatever the padding. */
const rows = new Map(
  page
    .split('\n')
    .filter((line) => line.startsWith('| `'))
    .map((line) =>
      line
        .slice(1, -1)
        .split(/(?<!\\)\|/)
        .map((text) => text.trim()),
    )
    .map(([code = '', ...rest]) => [code.replaceAll('`', ''), rest]),
);

describe('docs/errors.md', () => {
  it('lists every code once, in the order of the registry, and no other', () => {
    const listed = page.split('\n').filter((line) => line.startsWith('| `')).length;
    expect([...rows.keys()]).toEqual(specs.map(([code]) => code));
    expect(listed).toBe(specs.length);
  });

  it.each(specs)(
    'tells status, exit code, message and hint of %s',
    (code, { status, exit, message, hint }) => {
      expect(rows.get(code)).toEqual([String(status), String(exit), cell(message), cell(hint)]);
    },
  );
});

describe('an error', () => {
  it.each(specs)(
    '%s has a message and a hint of one line each, without a full stop',
    (_, { message, hint }) => {
      for (const text of [message, hint]) {
        expect(text).not.toBe('');
        expect(text).not.toMatch(/\n|\.$/);
      }
    },
  );

  it('carries what it was given', () => {
    const error = new AppShotError('BUSY', { name: 'web', operation: 'sleep' }, { details: { since: 1 } });
    expect(error.message).toBe('the application web is busy: sleep is under way');
    expect(error.spec.status).toBe(409);
    expect(error.toBody()).toEqual({
      code: 'BUSY',
      message: error.message,
      hint: 'wait for it to end',
      details: { name: 'web', operation: 'sleep', since: 1 },
    });
    expect(toAppShotError(error)).toBe(error);
  });

  it('of any other kind is a bug', () => {
    const cause = new TypeError('x is not a function');
    expect(toAppShotError(cause)).toMatchObject({
      code: 'INTERNAL',
      message: 'a bug: x is not a function',
      cause,
    });
    expect(toAppShotError('text')).toMatchObject({ message: 'a bug: text' });
  });
});
