/** The part of JSON Schema (draft 7) that docs/appshot.schema.json is written in; any other keyword is an error. */
type Schema = Readonly<Record<string, unknown>>;
type Values = Readonly<Record<string, unknown>>;
type Check = (value: unknown, wanted: unknown, schema: Schema) => boolean;

const isValues = (value: unknown): value is Values =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

const TYPES: Readonly<Record<string, (value: unknown) => boolean>> = {
  object: isValues,
  array: Array.isArray,
  string: (value) => typeof value === 'string',
  number: (value) => typeof value === 'number',
  integer: Number.isInteger,
  boolean: (value) => typeof value === 'boolean',
  null: (value) => value === null,
};

const matches = (pattern: string, text: string): boolean => new RegExp(pattern, 'u').test(text);

/** Keys that neither `properties` nor `patternProperties` speak of. */
const othersOf = (value: Values, { properties = {}, patternProperties = {} }: Schema): string[] =>
  Object.keys(value).filter(
    (key) =>
      !Object.hasOwn(properties as Values, key) &&
      !Object.keys(patternProperties as Values).some((pattern) => matches(pattern, key)),
  );

/** A keyword says nothing about a value of another type. */
const onValues =
  (check: (value: Values, wanted: never, schema: Schema) => boolean): Check =>
  (value, wanted, schema) =>
    !isValues(value) || check(value, wanted as never, schema);
const onList =
  (check: (value: unknown[], wanted: never) => boolean): Check =>
  (value, wanted) =>
    !Array.isArray(value) || check(value, wanted as never);
const onNumber =
  (check: (value: number, wanted: number) => boolean): Check =>
  (value, wanted) =>
    typeof value !== 'number' || check(value, wanted as number);

const ignored: Check = () => true;

const CHECKS: Readonly<Record<string, Check>> = {
  $schema: ignored,
  title: ignored,
  description: ignored,
  default: ignored,
  type: (value, wanted) => [wanted].flat().some((type) => TYPES[String(type)]?.(value) ?? false),
  enum: (value, wanted) => (wanted as unknown[]).includes(value),
  pattern: (value, wanted) => typeof value !== 'string' || matches(String(wanted), value),
  minimum: onNumber((value, wanted) => value >= wanted),
  maximum: onNumber((value, wanted) => value <= wanted),
  minItems: onList((value, wanted: number) => value.length >= wanted),
  maxItems: onList((value, wanted: number) => value.length <= wanted),
  items: onList((value, wanted: Schema) => value.every((item) => isValid(wanted, item))),
  minProperties: onValues((value, wanted: number) => Object.keys(value).length >= wanted),
  maxProperties: onValues((value, wanted: number) => Object.keys(value).length <= wanted),
  required: onValues((value, wanted: string[]) => wanted.every((key) => Object.hasOwn(value, key))),
  propertyNames: onValues((value, wanted: Schema) => Object.keys(value).every((key) => isValid(wanted, key))),
  properties: onValues((value, wanted: Record<string, Schema>) =>
    Object.entries(wanted).every(
      ([key, schema]) => !Object.hasOwn(value, key) || isValid(schema, value[key]),
    ),
  ),
  patternProperties: onValues((value, wanted: Record<string, Schema>) =>
    Object.entries(wanted).every(([pattern, schema]) =>
      Object.entries(value).every(([key, item]) => !matches(pattern, key) || isValid(schema, item)),
    ),
  ),
  additionalProperties: onValues((value, wanted: Schema | false, schema) => {
    const others = othersOf(value, schema);
    return wanted === false ? others.length === 0 : others.every((key) => isValid(wanted, value[key]));
  }),
  anyOf: (value, wanted) => (wanted as Schema[]).some((schema) => isValid(schema, value)),
  oneOf: (value, wanted) => (wanted as Schema[]).filter((schema) => isValid(schema, value)).length === 1,
};

/** Whether a value is what the schema describes. */
export const isValid = (schema: Schema, value: unknown): boolean =>
  Object.entries(schema).every(([keyword, wanted]) => {
    const check = CHECKS[keyword];
    if (check === undefined) throw new Error(`the keyword ${keyword} is not known here`);
    return check(value, wanted, schema);
  });
