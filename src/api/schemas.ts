/**
 * The words of the HTTP API, the command line and `appshot.yaml`, as schemas: checked where they enter, typed from there on.
 */
import { z } from '@hono/zod-openapi';
import { NetworkName, PolicySpec, PublishSpec, SiteSpec, findFlaw } from './networks.ts';

/** A host name label (RFC 1123): also a valid application and process name. */
export const Name = z
  .string()
  .regex(
    /^[a-z]([a-z0-9-]{0,61}[a-z0-9])?$/,
    'use 1 to 63 lower-case letters, digits and hyphens, beginning with a letter',
  )
  .openapi({ example: 'web' });

/** An application ID: given by the user, or 26 characters of a ULID. Unique in the farm (mission A1). */
const Aid = z.string().regex(/^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$/, 'use 1 to 64 letters, digits, _ and -');

/**
 * The states of an application. See `src/application` for the transitions.
 *
 *     registered -> starting -> running <-> sleeping -> asleep <-> waking -> running <-> frozen
 *     any -> failed ; running, failed -> stopping -> stopped
 */
export const STATES = [
  'registered',
  'starting',
  'running',
  'freezing',
  'frozen',
  'thawing',
  'sleeping',
  'asleep',
  'waking',
  'snapshotting',
  'rewinding',
  'stopping',
  'stopped',
  'failed',
] as const;
export const State = z.enum(STATES).openapi('State');
export type State = z.infer<typeof State>;

/** What the kernel takes as an argument, a variable or a path: it ends at a zero byte. */
const text = z.string().regex(/^[^\0]*$/, 'a zero byte cannot be passed');
const absolutePath = z.string().regex(/^\/[^\0]*$/, 'give an absolute path');

export const ProcessSpec = z
  .strictObject({
    name: Name,
    /** Program and arguments; the program is looked up on the PATH of the process. Never a shell. */
    command: z.array(text).min(1, 'name a command').max(4096),
    environment: z
      .record(z.string().regex(/^[^=\0]+$/, 'a variable has a name, without ='), text)
      .default({}),
    /** `name`, `name:group`, `uid` or `uid:gid` of this machine. */
    user: z.string().min(1).optional(),
    workingDirectory: absolutePath.optional(),
  })
  .openapi('ProcessSpec');
export type ProcessSpec = z.infer<typeof ProcessSpec>;

export const VolumeSpec = z
  .strictObject({ source: absolutePath, target: absolutePath, readOnly: z.boolean().default(false) })
  .openapi('VolumeSpec');
export type VolumeSpec = z.infer<typeof VolumeSpec>;

/** Rules as they were given, and what messages call them. */
export const RulesSource = z
  .strictObject({ file: text.max(4096), text: z.string().max(1 << 20, 'rules may have 1 MiB at most') })
  .openapi('RulesSource');
export type RulesSource = z.infer<typeof RulesSource>;

export const LinkSpec = z
  .strictObject({ path: absolutePath, target: text.min(1).max(4095) })
  .openapi('LinkSpec');
export type LinkSpec = z.infer<typeof LinkSpec>;

export const Limits = z
  .strictObject({
    /** Bytes. */
    memory: z
      .number()
      .int()
      .min(4 << 20)
      .optional(),
    /** Number of tasks. */
    pids: z.number().int().min(1).max(4194304).optional(),
    /** Cores, for example 0.5. */
    cpus: z.number().min(0.01).max(1024).optional(),
  })
  .openapi('Limits');
export type Limits = z.infer<typeof Limits>;

/**
 * How saved memory comes back: mapped from its layer, served as it is touched, or copied before the processes run. `auto` takes
 * the fastest that is correct for the application.
 */
const MEMORY_MODES = ['layer', 'lazy', 'copy'] as const;
export type MemoryMode = (typeof MEMORY_MODES)[number];
export const MemoryChoice = z.enum(['auto', ...MEMORY_MODES]).openapi('MemoryChoice');
export type MemoryChoice = z.infer<typeof MemoryChoice>;

/** An application chain as the harness launches it (mission A2, A3). */
export const ChainSpec = z
  .strictObject({
    name: Name,
    aid: Aid.optional(),
    hostname: Name.optional(),
    address: z.ipv4().optional(),
    /** The network that it belongs to; `default` when left out. */
    network: NetworkName.optional(),
    /** The group of instances that it is one of: one name, one published port, one site. Its own name when left out. */
    service: Name.optional(),
    /** Ports of this machine that lead to it. */
    publish: z.array(PublishSpec).max(64, 'there may be 64 at most').optional(),
    /** Host names that the web gateway brings to it. */
    sites: z.array(SiteSpec).max(64, 'there may be 64 at most').optional(),
    policy: PolicySpec.optional(),
    /** At least one; started in this order. The chain runs while any process of it does. */
    processes: z.array(ProcessSpec).min(1).max(64),
    volumes: z.array(VolumeSpec).max(64).default([]),
    limits: Limits.default({}),
    /** For each wake that does not say otherwise; `auto` when left out. */
    memory: MemoryChoice.optional(),
    /** Rules for clones: what they are called in messages, and their text (docs/rules.md). */
    rules: z.array(RulesSource).max(16, 'there may be 16 at most').optional(),
    /** Symbolic links whose targets hold variables, which each application resolves to its own. */
    links: z.array(LinkSpec).max(64, 'there may be 64 at most').optional(),
    /** Seconds without packets and without CPU to speak of, after which the application is put to sleep by itself. */
    idle: z
      .number()
      .min(0.1)
      .max(86400 * 365)
      .optional(),
    /** Beyond and below what containers get by default; without the prefix `CAP_`. */
    capabilities: z
      .strictObject({
        add: z.array(z.string().regex(/^[A-Z_]+$/)).default([]),
        drop: z.array(z.string().regex(/^[A-Z_]+$/)).default([]),
      })
      .default({ add: [], drop: [] }),
  })
  .superRefine((spec, context) => {
    const flaw = findFlaw(spec);
    if (flaw) context.addIssue({ code: 'custom', path: flaw.path, message: flaw.reason });
  })
  .openapi('ChainSpec');
export type ChainSpec = z.infer<typeof ChainSpec>;

/** How the memory of an application came back, and why that way. */
const WokenMemory = z.object({ mode: z.enum(MEMORY_MODES), reason: z.string() }).openapi('WokenMemory');
export type WokenMemory = z.infer<typeof WokenMemory>;

/** One row of `appshot ps`. */
export const AppView = z
  .object({
    aid: z.string(),
    name: z.string(),
    state: State,
    address: z.string(),
    hostname: z.string(),
    /** ISO 8601 times. */
    createdAt: z.string(),
    since: z.string(),
    /** At its last wake; null before the first. */
    memory: WokenMemory.nullable(),
  })
  .openapi('App');
export type AppView = z.infer<typeof AppView>;

/** Something an application holds, as the kernel names it (mission A12). */
export const Holding = z
  .object({ kind: z.string(), pid: z.number().optional(), description: z.string() })
  .openapi('Holding');
export type Holding = z.infer<typeof Holding>;

/** What would keep an application from being saved (mission E6). */
export const Blocker = z
  .object({
    kind: z.string(),
    /** Virtual PID of the process that holds it, inside the application. */
    pid: z.number().optional(),
    process: z.string().optional(),
    what: z.string(),
    why: z.string(),
    /** What the user can do. */
    advice: z.string(),
  })
  .openapi('Blocker');
export type Blocker = z.infer<typeof Blocker>;

export const CheckReport = z
  .object({ aid: z.string(), name: z.string(), ok: z.boolean(), blockers: z.array(Blocker) })
  .openapi('CheckReport');
export type CheckReport = z.infer<typeof CheckReport>;

/** A step of a sleep or wake with its time. */
export const Timing = z.object({ step: z.string(), ms: z.number() }).openapi('Timing');
export type Timing = z.infer<typeof Timing>;

export const SleepResult = z
  .object({
    aid: z.string(),
    name: z.string(),
    state: State,
    snapshot: z.string(),
    /** Bytes written for the snapshot. */
    bytes: z.number(),
    /** Milliseconds that the processes were frozen before they ended. */
    frozenMs: z.number(),
    parent: z.string().nullable(),
    ms: z.number(),
    timings: z.array(Timing),
  })
  .openapi('SleepResult');
export type SleepResult = z.infer<typeof SleepResult>;

export const WakeResult = AppView.extend({
  snapshot: z.string().nullable(),
  ms: z.number(),
  timings: z.array(Timing),
}).openapi('WakeResult');
export type WakeResult = z.infer<typeof WakeResult>;

export const ProcessView = z
  .object({
    /** PID inside the application (virtual) and on this machine (system). */
    pid: z.number(),
    systemPid: z.number(),
    parent: z.number(),
    uid: z.number(),
    command: z.string(),
    threads: z.number(),
    /** Bytes. */
    rss: z.number(),
  })
  .openapi('Process');
export type ProcessView = z.infer<typeof ProcessView>;

/** A variable that a process of a clone keeps as its template had it, and why. */
export const UnseenVariable = z
  .object({ pid: z.number(), name: z.string(), reason: z.enum(['absent', 'no room']) })
  .openapi('UnseenVariable');
export type UnseenVariable = z.infer<typeof UnseenVariable>;

/** What a clone began from. */
const CloneOrigin = z
  .object({
    id: z.string(),
    name: z.string(),
    /** Its number among the clones of the template, from 1. */
    instance: z.number(),
    unseen: z.array(UnseenVariable),
  })
  .openapi('CloneOrigin');

/** `appshot inspect`: what is tracked for a running or saved application (mission A12). */
export const AppDetail = AppView.extend({
  spec: ChainSpec,
  /** Null for what is no clone. */
  template: CloneOrigin.nullable(),
  /** How often its memory has been cloned. */
  generation: z.number(),
  environment: z.string().nullable(),
  snapshot: z
    .object({ id: z.string(), takenAt: z.string(), bytes: z.number(), files: z.number() })
    .nullable(),
  processes: z.array(ProcessView),
  resources: z.array(Holding),
  listening: z.array(z.object({ protocol: z.enum(['tcp', 'udp']), address: z.string(), port: z.number() })),
  connections: z.number(),
  failure: z.object({ step: z.string(), code: z.string(), message: z.string(), at: z.string() }).nullable(),
  lastSleep: SleepResult.nullable(),
  lastWake: WakeResult.nullable(),
  files: z.string(),
  logs: z.array(z.string()),
}).openapi('AppDetail');
export type AppDetail = z.infer<typeof AppDetail>;

export const AppEvent = z
  .object({
    /** Grows by one for each event of a daemon's life. */
    id: z.number(),
    at: z.string(),
    type: z.string(),
    aid: z.string().optional(),
    name: z.string().optional(),
    reason: z.string().optional(),
    data: z.record(z.string(), z.unknown()).optional(),
  })
  .openapi('Event');
export type AppEvent = z.infer<typeof AppEvent>;

/** One row of `appshot top`. */
export const TopRow = z
  .object({
    aid: z.string(),
    name: z.string(),
    state: State,
    /** Cores used since the last sample, null when there is none. */
    cpu: z.number().nullable(),
    /** Bytes of memory charged to the application. */
    memory: z.number().nullable(),
    tasks: z.number().nullable(),
    packets: z.number().nullable(),
    idleSeconds: z.number().nullable(),
    /** 0 to 100; who has less gives way. */
    priority: z.number(),
    /** Requests under way, as the web gateway counts them; those that were open when a sleeper fell asleep. */
    requests: z.number().nullable(),
    /** The last decision of the scheduler about it: what, and why. */
    decision: z.object({ at: z.string(), what: z.string(), reason: z.string() }).nullable(),
  })
  .openapi('TopRow');
export type TopRow = z.infer<typeof TopRow>;

export const ExecRequest = z
  .strictObject({
    command: z.array(text).min(1).max(4096),
    environment: z
      .record(z.string().regex(/^[^=\0]+$/, 'a variable has a name, without ='), text)
      .default({}),
    user: z.string().optional(),
    workingDirectory: absolutePath.optional(),
    /** Bytes for standard input, base64. */
    input: z.string().optional(),
  })
  .openapi('ExecRequest');
export type ExecRequest = z.infer<typeof ExecRequest>;

/** One line (NDJSON) of a running `exec`; the data are the program's bytes, base64. */
export const ExecFrame = z
  .discriminatedUnion('type', [
    z.object({ type: z.literal('stdout'), data: z.string() }),
    z.object({ type: z.literal('stderr'), data: z.string() }),
    z.object({ type: z.literal('exit'), code: z.number().nullable(), signal: z.string().nullable() }),
  ])
  .openapi('ExecFrame');
export type ExecFrame = z.infer<typeof ExecFrame>;

/** One line (NDJSON) of `logs`. */
export const LogLine = z
  .object({ process: z.string(), stream: z.enum(['stdout', 'stderr']), text: z.string() })
  .openapi('LogLine');
export type LogLine = z.infer<typeof LogLine>;

export const ErrorSchema = z
  .object({
    error: z.object({
      code: z.string(),
      message: z.string(),
      hint: z.string(),
      details: z.record(z.string(), z.unknown()).optional(),
    }),
  })
  .openapi('Error');

export const VersionView = z
  .object({
    version: z.string(),
    engine: z.string(),
    pid: z.number(),
    network: z.string(),
    dataDir: z.string(),
  })
  .openapi('Version');
export type VersionView = z.infer<typeof VersionView>;
