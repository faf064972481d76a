/** What may stand in an `appshot.yaml`, in the words of Compose files where they mean the same. */
import { readFileSync } from 'node:fs';
import { z } from '@hono/zod-openapi';
import { parseSize, splitWords } from '../../common/index.ts';
import { readLink } from '../link.ts';
import { ChainSpec, Limits, LinkSpec, ProcessSpec, RulesSource, VolumeSpec } from '../schemas.ts';
import { readVolume, readVolumeSource, resolvePath } from '../volume.ts';
import { durationIn, flag, fromText, numberIn, onlyText, orText, textOf, writtenAs } from './forms.ts';
import type { JsonSchema } from './forms.ts';
import type { Environment } from './interpolate.ts';
import { networkKeys } from './networks.ts';

export interface Surroundings {
  /** What messages call the file. */
  readonly file: string;
  /** Where relative paths begin. */
  readonly directory: string;
  /** Variables of the caller. */
  readonly environment: Environment;
}

/** Compose and the kernel's headers write `CAP_NET_ADMIN`; the API leaves the prefix out. */
const readCapability = (text: string): string => text.toUpperCase().replace(/^CAP_/, '');

const splitPair = (text: string): readonly [name: string, value: string | undefined] => {
  const equals = text.indexOf('=');
  return equals === -1 ? [text, undefined] : [text.slice(0, equals), text.slice(equals + 1)];
};

/** Each variable with its place in the list or mapping; undefined where a list holds something else than text. */
const toEntries = (
  value: object,
): (readonly [place: string | number, name: string, text: unknown] | undefined)[] =>
  Array.isArray(value)
    ? value.map((item: unknown, index) =>
        typeof item === 'string' ? ([index, ...splitPair(item)] as const) : undefined,
      )
    : Object.entries(value).map(([name, text]: [string, unknown]) => [name, name, text] as const);

/** `[K=V, K]` and `{K: V}` as the same; where there is no value, the caller's counts. */
const readEnvironment = (value: object, caller: Environment, context: z.RefinementCtx): unknown => {
  const result = new Map<string, unknown>();
  for (const [index, entry] of toEntries(value).entries()) {
    const [place, name, text] = entry ?? [index, ''];
    const refuse = (message: string) => context.addIssue({ code: 'custom', path: [place], message });
    const given = text ?? (Object.hasOwn(caller, name) ? caller[name] : undefined);
    if (entry === undefined) refuse('it must be text');
    else if (result.has(name)) refuse(`${name} is there twice`);
    else if (given === undefined) refuse(`the variable ${name} is not set; give it a value`);
    result.set(name, given);
  }
  return Object.fromEntries(result);
};

/** A variable without a value, which is the caller's, is null in a mapping. */
const environmentForm = (inner: JsonSchema): JsonSchema => ({
  anyOf: [
    { ...inner, additionalProperties: { anyOf: [textOf(), { type: 'null' }] } },
    { type: 'array', items: textOf() },
  ],
});

const processOf = (surroundings: Surroundings) =>
  z.strictObject({
    command: fromText(splitWords, ProcessSpec.shape.command, orText()),
    environment: writtenAs(
      environmentForm,
      z.preprocess(
        (value, context) =>
          typeof value === 'object' && value !== null
            ? readEnvironment(value, surroundings.environment, context)
            : value,
        ProcessSpec.shape.environment.unwrap(),
      ),
    ).optional(),
    user: ProcessSpec.shape.user,
    working_dir: z
      .string()
      .transform((text) => resolvePath(text, surroundings.directory))
      .optional(),
  });

const VOLUME_SOURCE = '^(/|\\.{1,2}(/|$)|~(/|$))';

const volumeOf = (surroundings: Surroundings) =>
  fromText(
    (text) => readVolume(text, surroundings.directory),
    z.strictObject({
      source: fromText(
        (text) => readVolumeSource(text, surroundings.directory),
        VolumeSpec.shape.source,
        onlyText(VOLUME_SOURCE),
      ),
      target: VolumeSpec.shape.target,
      readOnly: flag.optional(),
      read_only: flag.optional(),
    }),
    orText('^[^:]*:[^:]+(:r[ow])?$'),
  );

const rulesOf = ({ file }: Surroundings) =>
  RulesSource.shape.text.transform((text): RulesSource => ({ file: `${file} rules`, text }));

/** What is wrong with the file is said of the key. */
const readRulesFile = (path: string, context: z.RefinementCtx): RulesSource => {
  try {
    return { file: path, text: readFileSync(path, 'utf8') };
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    context.addIssue(`${path} cannot be read: ${code === 'ENOENT' ? 'it does not exist' : message}`);
    return z.NEVER;
  }
};

const rulesFileOf = ({ directory }: Surroundings) =>
  z
    .string()
    .transform((text, context) => readRulesFile(resolvePath(text, directory), context))
    .pipe(RulesSource);

const SIZE = '^\\d{1,16}(\\.\\d{1,6})? ?([kKmMgGtT]([iI]?[bB])?|[bB])?$';

const limits = z.strictObject({
  memory: fromText(parseSize, Limits.shape.memory.unwrap(), onlyText(SIZE)).optional(),
  pids: numberIn(Limits.shape.pids.unwrap()).optional(),
  cpus: numberIn(Limits.shape.cpus.unwrap()).optional(),
});

const capability = fromText(
  readCapability,
  z.string().regex(/^[A-Z_]+$/, 'name a capability, such as NET_ADMIN'),
  onlyText('^[A-Za-z_]+$'),
);
const capabilities = z.strictObject({
  add: z.array(capability).optional(),
  drop: z.array(capability).optional(),
});

/** The grammar of a file; relative paths and variables without a value depend on its surroundings. */
export const grammarOf = (surroundings: Surroundings) => {
  const processes = writtenAs(
    (inner) => ({ ...inner, minProperties: 1, maxProperties: 64 }),
    z.record(ProcessSpec.shape.name, processOf(surroundings)),
  ).optional();
  return z.strictObject({
    name: ChainSpec.shape.name,
    aid: ChainSpec.shape.aid,
    hostname: ChainSpec.shape.hostname,
    address: ChainSpec.shape.address,
    ...networkKeys,
    idle: durationIn(ChainSpec.shape.idle.unwrap()).optional(),
    memory: ChainSpec.shape.memory,
    limits: limits.optional(),
    volumes: z.array(volumeOf(surroundings)).max(64, 'there may be 64 at most').optional(),
    capabilities: capabilities.optional(),
    rules: rulesOf(surroundings).optional(),
    rules_file: rulesFileOf(surroundings).optional(),
    links: z
      .array(fromText(readLink, LinkSpec, orText('^[^=]+=[\\s\\S]+$')))
      .max(64, 'there may be 64 at most')
      .optional(),
    processes,
    services: processes,
  });
};
export type File = z.infer<ReturnType<typeof grammarOf>>;
