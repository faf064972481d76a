/** What the routes are made of. */
import { z } from '@hono/zod-openapi';
import { ErrorSchema } from './schemas.ts';

const App = z
  .string()
  .min(1)
  .max(64)
  .openapi({ param: { name: 'app', in: 'path' }, description: 'Name or AID', example: 'web' });
export const params = z.object({ app: App });

/** `?key`, `?key=true` or `?key=false`. */
export const flag = z
  .enum(['', 'true', 'false'])
  .optional()
  .transform((value) => value === '' || value === 'true')
  .openapi({ type: 'boolean', default: false });
export const count = z.coerce.number().int().min(0).max(Number.MAX_SAFE_INTEGER);

export const errors = {
  default: { description: 'It failed', content: { 'application/json': { schema: ErrorSchema } } },
} as const;

export const json = <S extends z.ZodType>(schema: S, description: string) => ({
  description,
  content: { 'application/json': { schema } },
});
/** The wide key lets a handler answer with a stream, which Hono types as a plain `Response`. */
export const lines = <S extends z.ZodType>(schema: S, description: string) => {
  const content: Record<string, { schema: S }> = { 'application/x-ndjson': { schema } };
  return { description, content };
};
export const body = <S extends z.ZodType>(schema: S) => ({
  required: true,
  content: { 'application/json': { schema } },
});
/** A body that may be left out when it would be empty. */
export const optionalBody = <S extends z.ZodType>(schema: S) => ({ ...body(schema), required: false });
