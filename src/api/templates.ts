/** The words of templates: what is made from a running application so that any number of clones can begin from it. */
import { z } from '@hono/zod-openapi';
import { AppView, MemoryChoice, Name, RulesSource } from './schemas.ts';
import { SnapshotId } from './history.ts';
import { NetworkName } from './networks.ts';

/** What is done with a resource in each clone (figure 8). */
export const RESOURCE_CLASSES = [
  'shared',
  'copy-on-write',
  'duplicate',
  'virtualize',
  'multiplex',
  'allocate',
  'plain',
] as const;
export const ResourceClass = z.enum(RESOURCE_CLASSES).openapi('ResourceClass');
export type ResourceClass = z.infer<typeof ResourceClass>;

/** Kinds of resources that a template records, and that rules speak of. */
export const RESOURCE_TYPES = [
  'aid',
  'address',
  'hostname',
  'environment',
  'process',
  'memory',
  'shared-memory',
  'semaphore',
  'message-queue',
  'file',
  'directory',
  'log',
  'volume',
  'link',
  'device',
  'terminal',
  'pipe',
  'unix-socket',
  'port',
  'connection',
  'socket',
  'kernel-object',
] as const;
export const ResourceType = z.enum(RESOURCE_TYPES).openapi('ResourceType');
export type ResourceType = z.infer<typeof ResourceType>;

/** What a rule may be limited to. */
export const ACCESS_TYPES = ['create', 'read', 'write', 'destroy', 'any'] as const;
export const AccessType = z.enum(ACCESS_TYPES).openapi('AccessType');
export type AccessType = z.infer<typeof AccessType>;

/** One resource of a template: the fields of figure 7, and how it was classified. */
export const TemplateResource = z
  .object({
    /** Bytes of `name`, and of `data` as JSON, in UTF-8. */
    nameSize: z.number().int().min(0),
    descriptorSize: z.number().int().min(0),
    type: ResourceType,
    name: z.string(),
    data: z.record(z.string(), z.unknown()),
    /** In the order in which figure 8 asks for them; never empty. */
    classes: z.array(ResourceClass).min(1),
    /** What happens to it in a clone, in words. */
    action: z.string(),
    /** The rule that decided, unevaluated and with its place; null when the standard criteria did. */
    rule: z.object({ text: z.string(), file: z.string(), line: z.number() }).nullable(),
  })
  .openapi('TemplateResource');
export type TemplateResource = z.infer<typeof TemplateResource>;

/** One row of `appshot template ls`. */
export const TemplateView = z
  .object({
    id: z.string(),
    name: z.string(),
    /** ISO 8601. */
    createdAt: z.string(),
    /** The application that it was made from, and the template of which that was a clone. */
    from: z.object({ aid: z.string(), name: z.string(), template: z.string().nullable() }),
    /** Bytes of memory in layers, and in page images that each clone copies. */
    memory: z.object({ layered: z.number(), copied: z.number() }),
    /** Clones that exist. */
    clones: z.number().int(),
  })
  .openapi('Template');
export type TemplateView = z.infer<typeof TemplateView>;

export const TemplateDetail = TemplateView.extend({
  snapshot: z.string(),
  /** Version of the format of `resources`. */
  format: z.number().int(),
  /** As they were given: nothing in them is evaluated before a clone is made. */
  rules: z.array(RulesSource),
  resources: z.array(TemplateResource),
}).openapi('TemplateDetail');
export type TemplateDetail = z.infer<typeof TemplateDetail>;

export const TemplateRequest = z
  .strictObject({
    name: Name,
    /** Name or AID of the application. */
    from: z.string().min(1),
    /** The latest when left out; of a running application, what it is now. */
    snapshot: SnapshotId.optional(),
    /** Rules that come behind those with which the application was started. */
    rules: RulesSource.optional(),
  })
  .openapi('TemplateRequest');
export type TemplateRequest = z.infer<typeof TemplateRequest>;

export const CloneRequest = z
  .strictObject({
    count: z.number().int().min(1).max(10_000).default(1),
    /** Of the clone; of several, the beginning of their names. */
    name: Name.optional(),
    /** They become instances of this service, and serve what its instances publish. */
    service: Name.optional(),
    /** They belong to this network; to that of the template's source when left out. */
    network: NetworkName.optional(),
    memory: MemoryChoice.optional(),
    /** They only sleep: the first packet wakes each. */
    asleep: z.boolean().default(false),
    /** Each gets a snapshot of its own at once, which is independent of the template; they sleep. */
    offline: z.boolean().default(false),
  })
  .openapi('CloneRequest');
export type CloneRequest = z.infer<typeof CloneRequest>;

export const CloneView = AppView.extend({
  /** Its number among the clones of its template, from 1. */
  instance: z.number().int(),
  /** Milliseconds from when its turn came until packets reached it. */
  ms: z.number(),
}).openapi('Clone');
export type CloneView = z.infer<typeof CloneView>;
