import type { z } from '@hono/zod-openapi';
import { explainUnknownKey } from './suggest.ts';

const WORDS: Readonly<Record<string, string>> = {
  array: 'a list',
  object: 'a mapping',
  record: 'a mapping',
  string: 'text',
  number: 'a number',
  int: 'a whole number',
};

type Raw = z.core.$ZodRawIssue;

/** The keys that the mapping knows which the issue is about. */
const keysOf = (issue: Raw): string[] =>
  Object.keys((issue.inst as { shape?: object } | undefined)?.shape ?? {});

/** Why a value does not fit, in a user's words; undefined leaves it to the schema library. */
export const explain = (issue: Raw): string | undefined => {
  switch (issue.code) {
    case 'unrecognized_keys':
      return explainUnknownKey(issue.keys[0] ?? '', keysOf(issue));
    case 'too_small':
      return issue.origin === 'number' ? `it must be at least ${issue.minimum}` : undefined;
    case 'too_big':
      return issue.origin === 'number' ? `it must be at most ${issue.maximum}` : undefined;
    case 'invalid_type':
      if (issue.input === undefined) return 'it is missing';
      if (issue.input === null) return 'it has no value';
      return `it must be ${WORDS[issue.expected] ?? issue.expected}`;
    default:
      return undefined;
  }
};
