/**
 * What a template records beside the images of its snapshot, as the field `template` of the manifest. Docs: docs/templates.md. Rules and
 * links are kept as they were given; only what they came to for the application that it was made from stands beside them,
 * because its memory and its open files speak of that.
 */
import { posix } from 'node:path';
import { z } from 'zod';
import { LinkSpec, RulesSource, TemplateResource } from '../api/index.ts';
import type { Personality } from './memory/types.ts';

/** The format that is written, and the only one that is read. */
export const TEMPLATE_FORMAT = 1;

/** Paths that rules may single out in one template. */
export const MOST_PATHS = 4096;

const path = z.string().max(4096);
/** Of user space. */
const address = z
  .number()
  .int()
  .min(0)
  .max(2 ** 57);
const known = z.object({
  at: address,
  room: z
    .number()
    .int()
    .min(0)
    .max(1 << 24),
  pointers: z.array(address).max(1 << 16),
});

const Memory: z.ZodType<Personality> = z.object({
  format: z.literal(1),
  names: z.array(z.string()).max(4096),
  processes: z
    .array(
      z.object({
        pid: z.number().int().positive(),
        variables: z.record(z.string(), z.array(known).max(1 << 16)),
        overwritten: z.boolean(),
        spare: z
          .object({ at: address, size: z.number().int(), used: z.number().int(), added: z.boolean() })
          .nullable(),
        nodeNames: z.array(address).max(1 << 16),
        generators: z.array(address).max(1 << 16),
        cells: z.array(address).max(1 << 16),
      }),
    )
    .max(1 << 20),
});

const absolute = path.refine(
  (text) => text !== '/' && !text.includes('\0') && posix.resolve('/', text) === text,
  'it is not an absolute path',
);

/** What `CLASSIFY` rules change in clones; without them it is nothing. */
export const Overrides = z.object({
  /** `duplicate`: the memory of clones is their own from the start. */
  memory: z.literal('duplicate').nullable(),
  /** As programs know them, a directory with all that is below it, outer ones before those within. */
  paths: z
    .array(
      z.object({
        path: absolute,
        kind: z.enum(['file', 'directory']),
        class: z.enum(['virtualize', 'duplicate', 'shared']),
      }),
    )
    .max(MOST_PATHS),
});
export type Overrides = z.infer<typeof Overrides>;

/** Where links and redirections lead, for one application. */
export const Places = z.object({
  links: z.array(z.object({ path, target: path })).max(4096),
  redirects: z.array(z.object({ from: path, to: path })).max(4096),
});
export type Places = z.infer<typeof Places>;

export const TemplateFacts = z.looseObject({
  format: z.literal(TEMPLATE_FORMAT),
  /** What it was called where it was made. */
  name: z.string(),
  /** The application that it was made from, and the template of which that was a clone. */
  from: z.object({ aid: z.string(), name: z.string(), template: z.string().nullable() }),
  /** How often the memory had been cloned. */
  generation: z.number().int().min(0),
  rules: z.array(RulesSource).max(64),
  links: z.array(LinkSpec).max(64),
  places: Places,
  overrides: Overrides.default({ memory: null, paths: [] }),
  /** Whether a socket is bound to the address itself. */
  bound: z.boolean(),
  resources: z.array(TemplateResource).max(1 << 20),
  memory: Memory,
});
export type TemplateFacts = z.infer<typeof TemplateFacts>;
