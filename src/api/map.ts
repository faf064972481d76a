/** The words of the translation tables: what an application calls a resource, and what this machine calls it. */
import { z } from '@hono/zod-openapi';
import { State } from './schemas.ts';

/** One table each (figure 14). */
export const TRANSLATION_TYPES = [
  'pid',
  'tid',
  'pgid',
  'sid',
  'ipc',
  'fd',
  'address',
  'hostname',
  'port',
  'path',
  'link',
  'clock',
] as const;
export const TranslationType = z.enum(TRANSLATION_TYPES).openapi('TranslationType');
export type TranslationType = z.infer<typeof TranslationType>;

/** An entry of a table. With the AID in front of `virtual`, and the node in front of `system`, both are unique. */
export const Translation = z
  .object({
    type: TranslationType,
    virtual: z.string(),
    /** Further names of the same inside, such as the key of a System V object. */
    also: z.array(z.string()),
    /** Null where nothing of it is on the machine, as of what sleeps. */
    system: z.string().nullable(),
    /** The machine that `system` is of. */
    node: z.string(),
    /** What is behind it, and may be behind others too: an inode, a socket, a published port. */
    objects: z.array(z.string()),
    /** Whether it was made with the application, or since then by one of its programs. */
    since: z.enum(['registration', 'allocation']),
    note: z.string(),
  })
  .openapi('Translation');
export type Translation = z.infer<typeof Translation>;

export const MapView = z
  .object({
    aid: z.string(),
    name: z.string(),
    state: State,
    /** The snapshot that tells of what sleeps; null for what runs. */
    snapshot: z.string().nullable(),
    translations: z.array(Translation),
  })
  .openapi('Map');
export type MapView = z.infer<typeof MapView>;

/** A translation, and whose it is. */
export const FoundTranslation = Translation.extend({ aid: z.string(), name: z.string() }).openapi(
  'FoundTranslation',
);
export type FoundTranslation = z.infer<typeof FoundTranslation>;

/** `pid:4711`: a type and one of its IDs. */
export const TypedId = z
  .string()
  .regex(new RegExp(`^(${TRANSLATION_TYPES.join('|')}):.`), 'give a type and an ID, such as pid:4711')
  .transform((text) => {
    const colon = text.indexOf(':');
    return { type: text.slice(0, colon) as TranslationType, id: text.slice(colon + 1) };
  })
  .openapi({ type: 'string', example: 'pid:4711' });
export type TypedId = z.infer<typeof TypedId>;
