/**
 * The grammar as JSON Schema, for editors. It judges a file before variables are filled in, and with the types that YAML gives to words
 * without quotes: so that whatever AppShot takes is valid, text with a dollar sign is, and `8080` is wherever the text `8080` is.
 */
import { z } from '@hono/zod-openapi';
import { FORMS, textOf } from './forms.ts';
import type { JsonSchema } from './forms.ts';
import { grammarOf } from './grammar.ts';
import { HELP } from './help.ts';

type Node = z.core.$ZodTypes;
interface Place {
  readonly zodSchema: Node;
  readonly jsonSchema: JsonSchema;
}

/** Keys are never variables. */
const keysOf = (record: z.core.$ZodRecord): JsonSchema => {
  const { pattern } = z.toJSONSchema(record._zod.def.keyType);
  return pattern === undefined ? {} : { pattern };
};

/** Whether a value may be left out is lost on the way when text is read into it. An empty list is left out. */
const requiredOf = ({ _zod }: z.core.$ZodObject): string[] | undefined => {
  const fields = Object.entries(_zod.def.shape) as [string, Node][];
  const required = fields.filter(([, field]) => !['optional', 'default'].includes(field._zod.def.type));
  return required.length === 0 ? undefined : required.map(([key]) => key);
};

const rewrite = (node: Node, json: JsonSchema): JsonSchema => {
  switch (node._zod.def.type) {
    case 'string':
      return textOf(json.pattern);
    case 'enum':
      return { anyOf: [json, { type: 'string', pattern: '\\$' }] };
    case 'record':
      return { ...json, propertyNames: keysOf(node as z.core.$ZodRecord) };
    case 'object':
      return { ...json, required: requiredOf(node as z.core.$ZodObject) };
    default:
      return json;
  }
};

/** The library goes on with the object that it hands out: it is changed in place. */
const override = ({ zodSchema, jsonSchema }: Place): void => {
  const rewritten = rewrite(zodSchema, { ...jsonSchema });
  const written = FORMS.get(zodSchema as unknown as z.ZodType)?.form(rewritten) ?? rewritten;
  for (const key of Object.keys(jsonSchema)) delete jsonSchema[key];
  Object.assign(jsonSchema, written);
};

/** The mappings that may stand at a place, whichever way it is written. */
const variantsOf = (schema: JsonSchema): JsonSchema[] =>
  [schema, ...(schema.anyOf ?? [])].flatMap(({ properties, items, additionalProperties }) =>
    [properties && { properties }, items, additionalProperties].filter(
      (variant): variant is JsonSchema => typeof variant === 'object',
    ),
  );

/** Says of each key what it is for; those of a list's items and of a named process are beneath the key of all. */
const describe = (schema: JsonSchema, path: string): JsonSchema => {
  for (const variant of variantsOf(schema)) {
    if (variant.properties === undefined) describe(variant, path);
    for (const [key, field] of Object.entries(variant.properties ?? {})) {
      const place = path === '' ? key : `${path}.${key}`;
      Object.assign(field as JsonSchema, { description: HELP[place.replace(/^services\./, 'processes.')] });
      describe(field as JsonSchema, place);
    }
  }
  return schema;
};

/** Two names for the same: one of them is there. */
const needs = (key: string): JsonSchema => ({ type: 'object', properties: { [key]: {} }, required: [key] });

/** What an `appshot.yaml` may be, in the draft that editors know. */
export const configSchema = (): JsonSchema => {
  const grammar = grammarOf({ file: '', directory: '/', environment: {} });
  const written = z.toJSONSchema(grammar, {
    io: 'input',
    target: 'draft-7',
    override: (place) => override(place as Place),
  });
  return describe(
    {
      ...written,
      title: 'appshot.yaml',
      description: 'An application for appshot run --file: programs that start, sleep and wake together.',
      patternProperties: { '^x-': { description: 'Anything, for anchors; means nothing by itself.' } },
      oneOf: [needs('processes'), needs('services')],
    },
    '',
  );
};
