/** What may stand in an `appshot.yaml`, in the words of Compose files where they mean the same. */
import { readFileSync } from 'node:fs';
import { z } from '@hono/zod-openapi';
import { parseDuration, parseSize, splitWords } from '../../common/index.ts';
import { readLink } from '../link.ts';
import { ChainSpec, Limits, LinkSpec, ProcessSpec, RulesSource, VolumeSpec } from '../schemas.ts';
import { readVolume, readVolumeSource, resolvePath } from '../volume.ts';
import type { Environment } from './interpolate.ts';

export interface Surroundings {
  /** What messages call the file. */
  readonly file: string;
  /** Where relative paths begin. */
  readonly directory: string;
  /** Variables of the caller. */
  readonly environment: Environment;
}

/** Text goes through `read`, whose errors become the field's; the rest is left to the schema. */
const fromText = <S extends z.ZodType>(read: (text: string) => unknown, schema: S) =>
  z.preprocess((value, context) => {
    if (typeof value !== 'string') return value;
    try {
      return read(value);
    } catch (error) {
      context.addIssue((error as Error).message);
      return z.NEVER;
    }
  }, schema);

const readNumber = (text: string): number => {
  if (!/^\d{1,15}(\.\d{1,9})?$/.test(text)) throw new Error(`'${text}' is not a number`);
  return Number(text);
};

const readBoolean = (text: string): boolean => {
  if (text !== 'true' && text !== 'false') throw new Error(`'${text}' is neither true nor false`);
  return text === 'true';
};

/** Compose and the kernel's headers write `CAP_NET_ADMIN`; the API leaves the prefix out. */
const readCapability = (text: string): string => text.toUpperCase().replace(/^CAP_/, '');

const splitPair = (text: string): readonly [name: string, value: string | undefined] => {
  const equals = text.indexOf('=');
  return equals === -1 ? [text, undefined] : [text.slice(0, equals), text.slice(equals + 1)];
};

/** `[K=V, K]` and `{K: V}` as the same; where there is no value, the caller's counts. */
const readEnvironment = (value: object, caller: Environment, context: z.RefinementCtx): unknown => {
  const entries = Array.isArray(value)
    ? value.map((item: unknown, index) => [index, ...splitPair(String(item))] as const)
    : Object.entries(value).map(([name, text]: [string, unknown]) => [name, name, text] as const);
  const result = new Map<string, unknown>();
  for (const [place, name, text] of entries) {
    const refuse = (message: string) => context.addIssue({ code: 'custom', path: [place], message });
    const given = text ?? (Object.hasOwn(caller, name) ? caller[name] : undefined);
    if (result.has(name)) refuse(`${name} is there twice`);
    if (given === undefined) refuse(`the variable ${name} is not set; give it a value`);
    result.set(name, given);
  }
  return Object.fromEntries(result);
};

const processOf = (surroundings: Surroundings) =>
  z.strictObject({
    command: fromText(splitWords, ProcessSpec.shape.command),
    environment: z
      .preprocess(
        (value, context) =>
          typeof value === 'object' && value !== null
            ? readEnvironment(value, surroundings.environment, context)
            : value,
        ProcessSpec.shape.environment.unwrap(),
      )
      .optional(),
    user: ProcessSpec.shape.user,
    working_dir: z
      .string()
      .transform((text) => resolvePath(text, surroundings.directory))
      .optional(),
  });

const volumeOf = (surroundings: Surroundings) => {
  const flag = fromText(readBoolean, z.boolean()).optional();
  return fromText(
    (text) => readVolume(text, surroundings.directory),
    z.strictObject({
      source: fromText((text) => readVolumeSource(text, surroundings.directory), VolumeSpec.shape.source),
      target: VolumeSpec.shape.target,
      readOnly: flag,
      read_only: flag,
    }),
  );
};

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

const limits = z.strictObject({
  memory: fromText(parseSize, Limits.shape.memory.unwrap()).optional(),
  pids: fromText(readNumber, Limits.shape.pids.unwrap()).optional(),
  cpus: fromText(readNumber, Limits.shape.cpus.unwrap()).optional(),
});

const capability = fromText(
  readCapability,
  z.string().regex(/^[A-Z_]+$/, 'name a capability, such as NET_ADMIN'),
);
const capabilities = z.strictObject({
  add: z.array(capability).optional(),
  drop: z.array(capability).optional(),
});

/** The grammar of a file; relative paths and variables without a value depend on its surroundings. */
export const grammarOf = (surroundings: Surroundings) => {
  const processes = z.record(ProcessSpec.shape.name, processOf(surroundings)).optional();
  return z.strictObject({
    name: ChainSpec.shape.name,
    aid: ChainSpec.shape.aid,
    hostname: ChainSpec.shape.hostname,
    address: ChainSpec.shape.address,
    idle: fromText(parseDuration, ChainSpec.shape.idle.unwrap()).optional(),
    memory: ChainSpec.shape.memory,
    limits: limits.optional(),
    volumes: z.array(volumeOf(surroundings)).max(64, 'there may be 64 at most').optional(),
    capabilities: capabilities.optional(),
    rules: rulesOf(surroundings).optional(),
    rules_file: rulesFileOf(surroundings).optional(),
    links: z.array(fromText(readLink, LinkSpec)).max(64, 'there may be 64 at most').optional(),
    processes,
    services: processes,
  });
};
export type File = z.infer<ReturnType<typeof grammarOf>>;
