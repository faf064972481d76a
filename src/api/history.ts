/** The words of an application's past: its snapshots, what lies between two of them, and going back. */
import { z } from '@hono/zod-openapi';
import { AppView, ChainSpec, MemoryChoice, SleepResult, State } from './schemas.ts';

/** An ID of a snapshot (a ULID), or as much of its beginning as no other has. */
export const SnapshotId = z
  .string()
  .regex(/^[0-9A-Za-z]{1,26}$/, 'name a snapshot: up to 26 letters and digits')
  .toUpperCase()
  .openapi({ example: '01JD4YJ6N3Q8M2V7R5T9W0XZAB' });

export const WakeRequest = z
  .strictObject({
    /** What the chain says when left out. */
    memory: MemoryChoice.optional(),
    /** Also where this machine differs from that of the snapshot in what need not matter; later wakes of it too. */
    force: z.boolean().optional(),
  })
  .openapi('WakeRequest');
export type WakeRequest = z.infer<typeof WakeRequest>;

export const SnapshotRequest = z
  .strictObject({
    /** Keep it until it is unpinned or removed, whatever the rules of the daemon say. */
    pin: z.boolean().optional(),
    /** Seconds after which it may go. */
    ttl: z
      .number()
      .min(1)
      .max(86400 * 3650)
      .optional(),
  })
  .refine(({ pin, ttl }) => pin !== true || ttl === undefined, 'what is pinned does not expire')
  .openapi('SnapshotRequest');
export type SnapshotRequest = z.infer<typeof SnapshotRequest>;

const retained = {
  pinned: z.boolean(),
  /** ISO 8601 time after which it may go; null when only the rules of the daemon decide. */
  expiresAt: z.string().nullable(),
};

/** Of an application that goes on running. */
export const SnapshotResult = SleepResult.extend(retained).openapi('SnapshotResult');
export type SnapshotResult = z.infer<typeof SnapshotResult>;

export const HistoryEntry = z
  .object({
    snapshot: z.string(),
    /** ISO 8601 time at which the processes were frozen. */
    takenAt: z.string(),
    /** Bytes written for it, beyond what it shares. */
    bytes: z.number(),
    /** The snapshot that came before it in its application's life. */
    parent: z.string().nullable(),
    ...retained,
    /** How it came to be. */
    kind: z.enum(['sleep', 'snapshot', 'import', 'fork', 'template', 'clone']),
    /** Bytes of private memory in layers, and in page images that are copied at each wake. */
    memory: z.object({ layered: z.number(), copied: z.number() }),
    /** Whether it outlives a power cut. */
    durable: z.boolean(),
    /** Whether a wake would begin from it. */
    current: z.boolean(),
  })
  .openapi('HistoryEntry');
export type HistoryEntry = z.infer<typeof HistoryEntry>;

const FileChange = z
  .object({
    /** As the application sees it. */
    path: z.string(),
    change: z.enum(['added', 'removed', 'changed']),
    /** Bytes afterwards; null for what is gone, or is no regular file. */
    bytes: z.number().nullable(),
  })
  .openapi('FileChange');

/** Pages (4096 bytes) of a mapping whose contents differ. */
const MemoryChange = z
  .object({
    pid: z.number(),
    process: z.string(),
    /** Addresses, as `0x7f0000000000`. */
    start: z.string(),
    end: z.string(),
    /** `[heap]`, `[stack]`, a file, ... */
    what: z.string(),
    pagesChanged: z.number(),
  })
  .openapi('MemoryChange');

const Descriptor = z
  .object({ pid: z.number(), process: z.string(), fd: z.number(), what: z.string() })
  .openapi('Descriptor');

const Socket = z
  .object({
    /** `tcp`, `udp`, `unix`, ... */
    kind: z.string(),
    local: z.string(),
    remote: z.string().nullable(),
    state: z.string().nullable(),
  })
  .openapi('Socket');

const Program = z.object({ pid: z.number(), command: z.string() }).openapi('Program');

const difference = <S extends z.ZodType>(schema: S) =>
  z.object({ added: z.array(schema), removed: z.array(schema) });

/** What changed from one snapshot of an application to another. */
export const DiffReport = z
  .object({
    aid: z.string(),
    name: z.string(),
    from: z.string(),
    to: z.string(),
    files: z.array(FileChange),
    memory: z.array(MemoryChange),
    descriptors: difference(Descriptor),
    sockets: difference(Socket),
    processes: difference(Program),
  })
  .openapi('DiffReport');
export type DiffReport = z.infer<typeof DiffReport>;

/** Connections that had to be closed: the other end has gone on from where they were. */
const closed = z.array(z.object({ local: z.string(), remote: z.string() }).openapi('ClosedConnection'));

export const RewindRequest = z.strictObject({ snapshot: SnapshotId }).openapi('RewindRequest');
export type RewindRequest = z.infer<typeof RewindRequest>;

export const RewindResult = z
  .object({
    aid: z.string(),
    name: z.string(),
    state: State,
    snapshot: z.string(),
    closed,
    ms: z.number(),
  })
  .openapi('RewindResult');
export type RewindResult = z.infer<typeof RewindResult>;

export const ForkRequest = z
  .strictObject({
    /** The latest when left out. */
    snapshot: SnapshotId.optional(),
    name: ChainSpec.shape.name,
    /** The name when left out. */
    hostname: ChainSpec.shape.hostname,
  })
  .openapi('ForkRequest');
export type ForkRequest = z.infer<typeof ForkRequest>;

export const ForkResult = AppView.extend({ snapshot: z.string(), closed, ms: z.number() }).openapi(
  'ForkResult',
);
export type ForkResult = z.infer<typeof ForkResult>;

export const PinRequest = z.strictObject({ pinned: z.boolean() }).openapi('PinRequest');
export type PinRequest = z.infer<typeof PinRequest>;

export const GcRequest = z
  .strictObject({
    /** Only tells what would go. */
    dryRun: z.boolean().optional(),
  })
  .openapi('GcRequest');
export type GcRequest = z.infer<typeof GcRequest>;

/** What was removed, or would be. */
export const GcReport = z
  .object({ snapshots: z.number(), objects: z.number(), layers: z.number(), bytes: z.number() })
  .openapi('GcReport');
export type GcReport = z.infer<typeof GcReport>;
