/** Random images of any kind that a schema describes, and random damage to them. */
import { ScalarType } from '@bufbuild/protobuf';
import type { DescField, DescMessage } from '@bufbuild/protobuf';
import { FieldDescriptorProto_Label as Label } from '@bufbuild/protobuf/wkt';
import fc from 'fast-check';
import type { GeneratorValue } from 'fast-check';
import type { Fields, Image, ImageEntry, ImageKind, Schema } from '../../src/criu/index.ts';
import { IMAGE_KINDS } from '../../src/criu/index.ts';
import { magicsOf } from '../../src/criu/images/frames.ts';
import type { Step } from '../../src/criu/images/layouts.ts';
import { registryOf } from './criu-schema.ts';

const UINT32 = fc.integer({ min: 0, max: 0xffffffff });
const INT32 = fc.integer({ min: -0x80000000, max: 0x7fffffff });
const UINT64 = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n });
const INT64 = fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n });

const SCALARS: Partial<Record<ScalarType, fc.Arbitrary<unknown>>> = {
  [ScalarType.UINT32]: UINT32,
  [ScalarType.FIXED32]: UINT32,
  [ScalarType.INT32]: INT32,
  [ScalarType.SINT32]: INT32,
  [ScalarType.SFIXED32]: INT32,
  [ScalarType.UINT64]: UINT64,
  [ScalarType.FIXED64]: UINT64,
  [ScalarType.INT64]: INT64,
  [ScalarType.SINT64]: INT64,
  [ScalarType.SFIXED64]: INT64,
  [ScalarType.BOOL]: fc.boolean(),
  [ScalarType.STRING]: fc.string({ unit: 'binary', maxLength: 20 }),
  [ScalarType.BYTES]: fc.uint8Array({ maxLength: 40 }),
};

const values = (field: DescField, depth: number): fc.Arbitrary<unknown> => {
  const described = field as { message?: DescMessage; enum?: { values: readonly { number: number }[] } };
  if (described.message) return messages(described.message, depth - 1);
  if (described.enum) return fc.constantFrom(...described.enum.values.map(({ number }) => number));
  const scalar = SCALARS[field.scalar ?? ScalarType.UINT32];
  if (!scalar) throw new Error(`no values for ${field.toString()}`);
  return scalar;
};

/** Random fields of a message; those that may be left out are, below some depth. */
const messages = (description: DescMessage, depth = 4): fc.Arbitrary<Fields> => {
  const all: Record<string, fc.Arbitrary<unknown>> = {};
  const required: string[] = [];
  for (const field of description.fields) {
    const needed = field.proto.label === Label.REQUIRED;
    if (!needed && depth <= 0) continue;
    const value = values(field, depth);
    all[field.localName] = field.fieldKind === 'list' ? fc.array(value, { maxLength: 3 }) : value;
    if (needed) required.push(field.localName);
  }
  return fc.record(all, { requiredKeys: required });
};

const builders = new WeakMap<Schema, Map<string, () => fc.Arbitrary<Fields>>>();

/** What fast-check asks for messages of a type: always the same function, which takes nothing. */
const builderOf = (schema: Schema, type: string): (() => fc.Arbitrary<Fields>) => {
  const known = builders.get(schema) ?? new Map<string, () => fc.Arbitrary<Fields>>();
  builders.set(schema, known);
  const description = registryOf(schema).getMessage(type);
  if (!description) throw new Error(`no message ${type}`);
  const builder =
    known.get(type) ??
    (
      (arbitrary) => () =>
        arbitrary
    )(messages(description));
  known.set(type, builder);
  return builder;
};

/** Fields that say how much comes behind a message. */
const SIZES = [
  'bytes',
  'len',
  'length',
  'inqLen',
  'outqLen',
  'qnum',
  'msize',
  'nsems',
  'size',
  'keysBytes',
  'valuesBytes',
];
const LARGEST_SIZE = 24;

const withSmallSizes = (message: Fields): Fields => {
  for (const field of SIZES) {
    const value = message[field];
    if (typeof value === 'number') message[field] = value % LARGEST_SIZE;
    if (typeof value === 'bigint') message[field] = value % BigInt(LARGEST_SIZE);
  }
  return message;
};

const payloadOf = (gen: GeneratorValue, step: Step, message: Fields): Buffer | undefined => {
  const size = step.payload?.(message) ?? 0;
  const limits = size === 'rest' ? { maxLength: 40 } : { minLength: size, maxLength: size };
  const bytes = gen(fc.uint8Array, limits);
  return bytes.length > 0 ? Buffer.from(bytes) : undefined;
};

export const nameOf = (kind: ImageKind): string =>
  kind.pattern.replace('%u', '1000').replace('%x', '3ff').replace('%s', 'dump');

/** The kinds whose messages a schema has. */
export const kindsOf = (schema: Schema): ImageKind[] =>
  IMAGE_KINDS.filter((kind) => registryOf(schema).getMessage(kind.layout().next().value?.type ?? ''));

/** An image of a kind with some entries. */
export const imageOf = (gen: GeneratorValue, schema: Schema, kind: ImageKind): Image => {
  const entries: ImageEntry[] = [];
  const layout = kind.layout();
  let { value: step } = layout.next();
  const wished = gen(fc.nat, { max: 5 });
  while (step && (step.needed || entries.length < wished)) {
    const message = withSmallSizes(gen(builderOf(schema, step.type)));
    const payload = payloadOf(gen, step, message);
    entries.push(payload ? { message, payload } : { message });
    ({ value: step } = layout.next(message));
  }
  return { name: nameOf(kind), magics: magicsOf(kind.magic), entries };
};

/** Damages a copy of the bytes: flips bits, cuts off, writes a huge length, or puts bytes in. */
export const damaged = (gen: GeneratorValue, bytes: Buffer): Buffer => {
  const copy = Buffer.from(bytes);
  const at = gen(fc.nat, { max: Math.max(0, copy.length - 1) });
  switch (gen(fc.constantFrom, 'flip', 'cut', 'huge', 'insert', 'repeat')) {
    case 'flip':
      for (const index of gen(fc.array, fc.nat({ max: copy.length * 8 - 1 }), { minLength: 1, maxLength: 6 }))
        copy[index >> 3] = (copy[index >> 3] ?? 0) ^ (1 << (index & 7));
      return copy;
    case 'cut':
      return copy.subarray(0, at);
    case 'huge':
      copy.fill(0xff, at, Math.min(copy.length, at + gen(fc.integer, { min: 1, max: 10 })));
      return copy;
    case 'insert':
      return Buffer.concat([copy.subarray(0, at), gen(fc.uint8Array, { maxLength: 40 }), copy.subarray(at)]);
    default:
      return Buffer.concat([copy, copy.subarray(at)]);
  }
};
