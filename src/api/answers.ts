import type { z } from '@hono/zod-openapi';
import { AppShotError } from '../common/index.ts';
import type { Operation } from './paths.ts';
import { routes } from './routes.ts';
import { VERSION } from './version.ts';

type Contents = Record<string, { schema: z.ZodType }>;

const schemaOf = (operation: Operation): z.ZodType | undefined => {
  if (operation === 'openapi') return undefined;
  const { responses } = routes[operation];
  const answer: { content?: Contents } =
    201 in responses ? responses[201] : 204 in responses ? {} : responses[200];
  return Object.values(answer.content ?? {})[0]?.schema;
};

/**
 * An answer of a daemon of another version, checked with the schema of its operation.
 *
 * @param theirs the version that the daemon names
 * @throws AppShotError BAD_ANSWER with the first field that does not fit
 */
export const checkAnswer = (operation: Operation, value: unknown, theirs: string): unknown => {
  const result = schemaOf(operation)?.safeParse(value);
  if (result === undefined || result.success) return value;
  const [issue] = result.error.issues;
  const reason = `${issue?.path.join('.') || 'the answer'}: ${issue?.message ?? 'does not fit'}`;
  throw new AppShotError('BAD_ANSWER', { theirs, ours: VERSION, reason });
};
