/**
 * The manifest of a snapshot: what it is of, what restoring needs to know, and a checksum of every file. Format 1; readers refuse
 * others and keep fields that they do not know. Docs: docs/snapshot-format.md.
 */
import { z } from 'zod';

const LARGEST_FILE = 2 ** 50;
/** Nanoseconds, too large for a JSON number. */
const nanoseconds = z.string().regex(/^\d{1,20}$/);

export const FileEntry = z.object({
  /** Path below the snapshot's directory. */
  name: z.string().regex(/^images\/[A-Za-z0-9._-]{1,200}$/),
  /** Bytes. */
  size: z.number().int().min(0).max(LARGEST_FILE),
  sha256: z.string().regex(/^[0-9a-f]{64}$/),
});
export type FileEntry = z.infer<typeof FileEntry>;

/** What the application can be reached by while it sleeps. */
export const Reachable = z.object({
  listening: z.array(z.object({ protocol: z.enum(['tcp', 'udp']), address: z.string(), port: z.number() })),
  connections: z.array(z.object({ localPort: z.number(), remote: z.string(), remotePort: z.number() })),
});
export type Reachable = z.infer<typeof Reachable>;

export const Manifest = z.looseObject({
  format: z.literal(1),
  id: z.string(),
  aid: z.string(),
  takenAt: z.string(),
  parent: z.string().nullable(),
  engine: z.object({ version: z.string() }),
  /** How memory is kept: `copy` is CRIU's own page images. */
  memory: z.object({ mode: z.literal('copy') }),
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
  files: z.array(FileEntry).max(100_000),
});
export type Manifest = z.infer<typeof Manifest>;

/** What the saver knows; the store adds identity and files. */
export type ManifestFacts = Pick<
  Manifest,
  'aid' | 'parent' | 'engine' | 'memory' | 'clocks' | 'processes' | 'reachable'
>;
