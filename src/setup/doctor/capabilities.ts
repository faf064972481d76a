/** Capabilities by their bit in `CapEff` of /proc/PID/status (linux/capability.h). */
const BITS = {
  CAP_CHOWN: 0,
  CAP_DAC_OVERRIDE: 1,
  CAP_DAC_READ_SEARCH: 2,
  CAP_FOWNER: 3,
  CAP_KILL: 5,
  CAP_SETGID: 6,
  CAP_SETUID: 7,
  CAP_SETPCAP: 8,
  CAP_NET_ADMIN: 12,
  CAP_NET_RAW: 13,
  CAP_SYS_CHROOT: 18,
  CAP_SYS_PTRACE: 19,
  CAP_SYS_ADMIN: 21,
  CAP_SYS_RESOURCE: 24,
  CAP_MKNOD: 27,
  CAP_CHECKPOINT_RESTORE: 40,
} as const;

export type Capability = keyof typeof BITS;

/** Without these AppShot works, with something less. */
const OPTIONAL: ReadonlySet<Capability> = new Set([
  'CAP_SYS_RESOURCE',
  'CAP_CHECKPOINT_RESTORE',
  'CAP_MKNOD',
]);

export interface MissingCapabilities {
  readonly needed: Capability[];
  readonly optional: Capability[];
}

const isCapability = (name: string): name is Capability => Object.hasOwn(BITS, name);

/** Reads the text of /proc/PID/status. Throws an Error when it has no `CapEff`. */
export const missingCapabilities = (status: string): MissingCapabilities => {
  const mask = /^CapEff:\s*([0-9a-f]+)$/m.exec(status)?.[1];
  if (mask === undefined) throw new Error('/proc/self/status names no effective capabilities');
  const held = BigInt(`0x${mask}`);
  const absent = Object.keys(BITS)
    .filter(isCapability)
    .filter((name) => (held & (1n << BigInt(BITS[name]))) === 0n);
  return {
    needed: absent.filter((name) => !OPTIONAL.has(name)),
    optional: absent.filter((name) => OPTIONAL.has(name)),
  };
};
