/**
 * What a snapshot needs of a machine, as its manifest keeps it. Everything is bounded, because a manifest may have come from
 * elsewhere. Docs: docs/fingerprint.md.
 */
import { z } from 'zod';

const word = z.string().max(200);

export const Machine = z.looseObject({
  /** As `uname -m` has it: `x86_64`, `aarch64`. */
  architecture: word,
  cpu: z.looseObject({
    vendor: word,
    /** Family and model are for people: features decide. */
    family: word,
    model: word,
    /** What programs may have chosen code by, in the kernel's names, sorted. */
    features: z.array(z.string().max(64)).max(1024),
  }),
  /** Bytes of the largest signal frame, which grows with the registers that the CPU saves (XSAVE, SVE); 0 when unknown. */
  signalFrame: z
    .number()
    .int()
    .min(0)
    .max(2 ** 30),
  /** Bytes. */
  pageSize: z
    .number()
    .int()
    .min(1)
    .max(2 ** 30),
  /** The kernel's release, such as `6.12.48+deb13-amd64`. */
  kernel: word,
  /** CRIU's version. */
  engine: word,
  /** Format of the snapshot that holds this. */
  format: z.number().int().min(1).max(1_000_000),
});
export type Machine = z.infer<typeof Machine>;

/** A file that processes have mapped. A build ID is enough for ELF; a file too large to hash has its size alone. */
export const MappedFile = z.looseObject({
  /** Absolute, inside the application. */
  path: z.string().startsWith('/').max(4096),
  /** Bytes. */
  size: z.number().int().min(0).max(Number.MAX_SAFE_INTEGER),
  /** Whether code may come from it: it is ELF, or is mapped executable. */
  code: z.boolean(),
  buildId: z
    .string()
    .regex(/^([0-9a-f]{2}){1,64}$/)
    .optional(),
  sha256: z
    .string()
    .regex(/^[0-9a-f]{64}$/)
    .optional(),
});
export type MappedFile = z.infer<typeof MappedFile>;

export const Fingerprint = z.looseObject({
  machine: Machine,
  files: z.array(MappedFile).max(20_000),
});
export type Fingerprint = z.infer<typeof Fingerprint>;
