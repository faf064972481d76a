/**
 * The words of snapshots that travel: into a file and back, to a registry and back. Files and keys are named by absolute paths of the
 * daemon's machine, which reads and writes them.
 */
import { z } from '@hono/zod-openapi';
import { SnapshotId } from './history.ts';
import { AppView, ChainSpec } from './schemas.ts';
import { TemplateView } from './templates.ts';

const path = z
  .string()
  .regex(/^\/[^\0]*$/, 'give an absolute path')
  .max(4095);

/** `host:port/repository:tag`, or with `@sha256:` and a digest. */
const ref = z.string().min(1).max(512).openapi({ example: 'registry.example:5000/shop/web:monday' });
const plainHttp = z.boolean().default(false);

/** At most one of them. */
const secret = {
  /** A file of at least 32 random bytes. */
  key: path.optional(),
  passphraseFile: path.optional(),
};
const isOneSecret = (request: { key?: string | undefined; passphraseFile?: string | undefined }): boolean =>
  request.key === undefined || request.passphraseFile === undefined;
const ONE_SECRET = { message: 'give a key or a passphrase, not both', path: ['passphraseFile'] };

const outward = {
  /** The latest when left out. */
  snapshot: SnapshotId.optional(),
  /** A private Ed25519 key in PEM to sign with. */
  sign: path.optional(),
  ...secret,
};
const inward = {
  /** Its own name when left out. */
  name: ChainSpec.shape.name.optional(),
  /** The network that it belongs to, or that clones of the template will; the one that it had when left out. */
  network: ChainSpec.shape.network,
  /** A public Ed25519 key in PEM; what is not signed with its other half is refused. */
  verify: path.optional(),
  ...secret,
  /** Also where this machine differs from that of the snapshot in what need not matter. */
  force: z.boolean().default(false),
};

export const ExportRequest = z
  .strictObject({ file: path, ...outward })
  .refine(isOneSecret, ONE_SECRET)
  .openapi('ExportRequest');
export type ExportRequest = z.infer<typeof ExportRequest>;

export const PushRequest = z
  .strictObject({ ref, plainHttp, ...outward })
  .refine(isOneSecret, ONE_SECRET)
  .openapi('PushRequest');
export type PushRequest = z.infer<typeof PushRequest>;

export const ImportRequest = z
  .strictObject({ file: path, ...inward })
  .refine(isOneSecret, ONE_SECRET)
  .openapi('ImportRequest');
export type ImportRequest = z.infer<typeof ImportRequest>;

export const PullRequest = z
  .strictObject({ ref, plainHttp, ...inward })
  .refine(isOneSecret, ONE_SECRET)
  .openapi('PullRequest');
export type PullRequest = z.infer<typeof PullRequest>;

const travelled = {
  snapshot: z.string(),
  /** Bytes of the snapshot with all it needs, as it travels. */
  bytes: z.number(),
  /** Bytes of it that did travel; the rest was there. */
  transferred: z.number(),
  ms: z.number(),
};

export const TransferResult = z.object(travelled).openapi('TransferResult');
export type TransferResult = z.infer<typeof TransferResult>;

/** The new application, asleep. */
export const ImportedApp = AppView.extend(travelled).openapi('ImportedApp');
export type ImportedApp = z.infer<typeof ImportedApp>;

/** What was exported as a template comes as one. */
const ImportedTemplate = TemplateView.extend(travelled).openapi('ImportedTemplate');

export const ImportResult = z.union([ImportedApp, ImportedTemplate]).openapi('ImportResult');
export type ImportResult = z.infer<typeof ImportResult>;
