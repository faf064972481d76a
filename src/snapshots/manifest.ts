/**
 * The manifest of a snapshot: what it is of, what restoring needs to know, and a checksum of every file. Format 2; readers refuse
 * others and keep fields that they do not know. Docs: docs/snapshot-format.md.
 */
import { z } from 'zod';
import { ChainSpec } from '../api/index.ts';
import { Fingerprint } from './fingerprint/index.ts';

/** The format that is written, and the only one that is read. */
export const SNAPSHOT_FORMAT = 2;

const LARGEST_FILE = 2 ** 50;
/** Nanoseconds, too large for a JSON number. */
const nanoseconds = z.string().regex(/^\d{1,20}$/);
const bytes = z.number().int().min(0).max(LARGEST_FILE);
/** SHA-256 in hexadecimal. */
const digest = z.string().regex(/^[0-9a-f]{64}$/);

export const FileEntry = z.object({
  /** Path below the snapshot's directory. */
  name: z.string().regex(/^images\/[A-Za-z0-9._-]{1,200}$/),
  size: bytes,
  /** Null only in a provisional snapshot, which is not checksummed yet. */
  sha256: digest.nullable(),
});
export type FileEntry = z.infer<typeof FileEntry>;

export const LayerEntry = z.object({
  digest,
  /** Length of the file, holes included, and what of it is data. */
  size: bytes,
  bytes,
  /** Length of its packed form, in which it travels. */
  packed: bytes,
  /** What stayed in page images when it was made: memory that cannot be in a layer. */
  beside: bytes,
});
export type LayerEntry = z.infer<typeof LayerEntry>;

/** What the application can be reached by while it sleeps. */
export const Reachable = z.object({
  listening: z.array(z.object({ protocol: z.enum(['tcp', 'udp']), address: z.string(), port: z.number() })),
  connections: z.array(z.object({ localPort: z.number(), remote: z.string(), remotePort: z.number() })),
});
export type Reachable = z.infer<typeof Reachable>;

export const Manifest = z.looseObject({
  format: z.literal(SNAPSHOT_FORMAT),
  id: z.string(),
  aid: z.string(),
  takenAt: z.string(),
  kind: z.enum(['sleep', 'snapshot', 'import', 'fork', 'template', 'clone']),
  parent: z.string().nullable(),
  engine: z.object({ version: z.string() }),
  /** What it was: all that a machine that has never seen it needs to wake it. */
  application: z.object({
    name: z.string(),
    hostname: z.string(),
    address: z.string(),
    spec: ChainSpec,
    /** Directories of the machine that its root shows where it has its own. */
    shown: z.array(z.string()).max(1000),
    /** How often its memory had been cloned. */
    generation: z.number().int().min(0).default(0),
  }),
  memory: z.object({
    /** Memory that processes map. Empty: all of it is in the engine's page images. */
    layers: z.array(LayerEntry).max(64),
    /** Bytes of memory in page images, which are copied into the processes. */
    copied: bytes,
  }),
  /** The application's clocks when it was frozen. */
  clocks: z.object({ monotonic: nanoseconds, boottime: nanoseconds }),
  processes: z.object({
    /** PID of the chain's first process, and the ID given out last, inside. */
    root: z.number().int().positive(),
    last: z.number().int().positive(),
    /** Whether some of them are in a session whose leader has ended, as daemons are. */
    orphans: z.boolean(),
  }),
  reachable: Reachable,
  fingerprint: Fingerprint,
  /** What makes it a template (`templates/format.ts`); absent in others. */
  template: z.unknown().optional(),
  /** Digest of the tree of the application's files, an object of the store; null when they were not kept. */
  tree: digest.nullable(),
  files: z.array(FileEntry).max(100_000),
});
export type Manifest = z.infer<typeof Manifest>;

/** What the saver knows; the store adds the rest. */
export type ManifestFacts = Pick<
  Manifest,
  'aid' | 'kind' | 'parent' | 'engine' | 'application' | 'clocks' | 'processes' | 'reachable' | 'fingerprint'
>;
