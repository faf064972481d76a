/**
 * The capabilities of an application's programs, as container users know them: a small set by default, and what
 * the specification adds or drops. They count inside the application's own user namespace. Source: capabilities(7).
 */
import { AppShotError } from '../common/index.ts';

/** In the order of their numbers in linux/capability.h. */
const NAMES = [
  'CHOWN',
  'DAC_OVERRIDE',
  'DAC_READ_SEARCH',
  'FOWNER',
  'FSETID',
  'KILL',
  'SETGID',
  'SETUID',
  'SETPCAP',
  'LINUX_IMMUTABLE',
  'NET_BIND_SERVICE',
  'NET_BROADCAST',
  'NET_ADMIN',
  'NET_RAW',
  'IPC_LOCK',
  'IPC_OWNER',
  'SYS_MODULE',
  'SYS_RAWIO',
  'SYS_CHROOT',
  'SYS_PTRACE',
  'SYS_PACCT',
  'SYS_ADMIN',
  'SYS_BOOT',
  'SYS_NICE',
  'SYS_RESOURCE',
  'SYS_TIME',
  'SYS_TTY_CONFIG',
  'MKNOD',
  'LEASE',
  'AUDIT_WRITE',
  'AUDIT_CONTROL',
  'SETFCAP',
  'MAC_OVERRIDE',
  'MAC_ADMIN',
  'SYSLOG',
  'WAKE_ALARM',
  'BLOCK_SUSPEND',
  'AUDIT_READ',
  'PERFMON',
  'BPF',
  'CHECKPOINT_RESTORE',
] as const;

const DEFAULT = [
  'CHOWN',
  'DAC_OVERRIDE',
  'FSETID',
  'FOWNER',
  'MKNOD',
  'NET_RAW',
  'SETGID',
  'SETUID',
  'SETFCAP',
  'SETPCAP',
  'NET_BIND_SERVICE',
  'SYS_CHROOT',
  'KILL',
  'AUDIT_WRITE',
];

const bit = (name: string): bigint => {
  const number = (NAMES as readonly string[]).indexOf(name.replace(/^CAP_/, ''));
  if (number >= 0) return 1n << BigInt(number);
  throw new AppShotError('BAD_REQUEST', { field: 'capabilities', reason: `${name} is not a capability` });
};

/** The mask of the capabilities that programs keep; `ALL` stands for every one. Fails with `BAD_REQUEST`. */
export const capabilityMask = ({
  add,
  drop,
}: {
  add: readonly string[];
  drop: readonly string[];
}): bigint => {
  const union = (names: readonly string[]): bigint =>
    names.flatMap((name) => (name === 'ALL' ? NAMES : [name])).reduce((mask, name) => mask | bit(name), 0n);
  const start = drop.includes('ALL') ? 0n : union(DEFAULT);
  return (start | union(add)) & ~union(drop.filter((name) => name !== 'ALL'));
};
