/** The ways in which values are written, as schemas that say to an editor, too, what they take. */
import { z } from '@hono/zod-openapi';
import { parseDuration } from '../../common/index.ts';

export type JsonSchema = z.core.JSONSchema.BaseSchema;

/** From what a schema itself would take to what may be written for it. */
type Form = (inner: JsonSchema) => JsonSchema;

/** What is written for schemas that read text: only their readers know that. */
export const FORMS = z.registry<{ readonly form: Form }>();

export const writtenAs = <S extends z.ZodType>(form: Form, schema: S): S => {
  FORMS.add(schema, { form });
  return schema;
};

/** What YAML makes of words without quotes, where everything is text to AppShot. */
const NUMBERS = ['0', '-1', '1.5', '.5', '1e3', '0x1f', '.inf', '.nan'];
const BOOLEANS = ['true', 'True', 'TRUE', 'false', 'False', 'FALSE'];

/** Text that matches, whatever YAML takes it for, or that a variable stands in: nobody knows its value before it is read. */
export const textOf = (pattern = ''): JsonSchema => {
  const reads = (words: readonly string[]) => words.some((word) => new RegExp(pattern).test(word));
  const others = [...(reads(NUMBERS) ? ['number'] : []), ...(reads(BOOLEANS) ? ['boolean'] : [])];
  const type = others.length === 0 ? 'string' : ['string', ...others];
  return { type, ...(pattern !== '' && { pattern: `${pattern}|\\$` }) } as JsonSchema;
};

/** The value itself, or as text. */
export const orText =
  (pattern?: string): Form =>
  (inner) => ({ anyOf: [inner, textOf(pattern)] });

export const onlyText =
  (pattern?: string): Form =>
  () =>
    textOf(pattern);

const attempt = (read: (text: string) => unknown, text: string, context: z.RefinementCtx): unknown => {
  try {
    return read(text);
  } catch (error) {
    context.addIssue((error as Error).message);
    return z.NEVER;
  }
};

/** Text goes through `read`, whose errors become the field's; the rest is left to the schema. */
export const fromText = <S extends z.ZodType>(read: (text: string) => unknown, schema: S, form: Form) =>
  writtenAs(
    form,
    z.preprocess(
      (value, context) => (typeof value === 'string' ? attempt(read, value, context) : value),
      schema,
    ),
  );

/** Nothing but text that `read` takes. */
export const fromOnlyText = <T>(read: (text: string) => T, form: Form) =>
  writtenAs(
    form,
    z.string().transform((text, context) => attempt(read, text, context) as T),
  );

/** Nothing may be less than 0, as the schemas say better. */
const readNumber = (text: string): number => {
  if (!/^-?\d{1,15}(\.\d{1,9})?$/.test(text)) throw new Error(`'${text}' is not a number`);
  return Number(text);
};

const readBoolean = (text: string): boolean => {
  if (text !== 'true' && text !== 'false') throw new Error(`'${text}' is neither true nor false`);
  return text === 'true';
};

export const numberIn = (schema: z.ZodType<number>) =>
  fromText(readNumber, schema, (inner) => ({
    anyOf: [inner, { type: 'string', pattern: '^\\d{1,15}(\\.\\d{1,9})?$|\\$' }],
  }));

/** Seconds. */
export const durationIn = (schema: z.ZodType<number>) =>
  fromText(parseDuration, schema, onlyText('^\\d{1,12}(\\.\\d{1,6})?(ms|s|m|h|d)$'));

export const flag = fromText(readBoolean, z.boolean(), orText('^(true|false)$'));
