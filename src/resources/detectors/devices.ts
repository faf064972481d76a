/** Devices and terminals (dump_chrdev() in criu/files.c, criu/tty.c). */
import { UNKNOWN_OBJECT } from './finding.ts';
import type { DescriptorFacts, InodeFacts, ProcessFacts } from '../facts.ts';
import type { Detector, Finding } from './finding.ts';

/** Majors of linux/major.h. */
const MEM = 1;
const TTY = 4;
const TTYAUX = 5;
const MISC = 10;
const PTY_MASTERS = { first: 128, last: 135 };
const PTY_SLAVE = 136;
const SERIAL = new Set([188, 204]);
/** null, zero, full, random, urandom, kmsg: state of nobody's. */
const SAFE_MEMORY = new Set([3, 5, 7, 8, 9, 11]);
const LAST_CONSOLE = 63;
const PTMX_MINOR = 2;
const AUTOFS_MINOR = 235;

const isMaster = ({ major, minor }: InodeFacts): boolean =>
  (major >= PTY_MASTERS.first && major <= PTY_MASTERS.last) || (major === TTYAUX && minor === PTMX_MINOR);

export const isTerminal = (file: InodeFacts): boolean =>
  file.type === 'character' &&
  (isMaster(file) ||
    file.major === PTY_SLAVE ||
    SERIAL.has(file.major) ||
    (file.major === TTYAUX && file.minor <= PTMX_MINOR) ||
    (file.major === TTY && file.minor <= LAST_CONSOLE));

const isSaved = (file: InodeFacts): boolean =>
  isTerminal(file) ||
  (file.major === MEM && SAFE_MEMORY.has(file.minor)) ||
  (file.major === MISC && file.minor === AUTOFS_MINOR);

/** What is known of a few: whose they are, by path. */
const ADVICE: readonly (readonly [RegExp, string])[] = [
  [/^\/dev\/net\/tun$/, 'run the tunnel outside the application'],
  [/^\/dev\/(dri|nvidia|kfd|mali)/, 'run it without the graphics processor'],
  [/^\/dev\/fuse$/, 'mount the file system outside, and give it to the application as a volume'],
  [/^\/dev\/(kvm|vfio)/, 'use the snapshots of the virtual machine monitor instead'],
];

const finding = (target: string): Finding => ({
  kind: 'device',
  what: `the device ${target}`,
  why: 'its state lies in the driver or the hardware, where CRIU cannot read it',
  advice: ADVICE.find(([path]) => path.test(target))?.[1] ?? 'close the device before the application sleeps',
});

const isDevice = ({ type }: InodeFacts): boolean => type === 'character' || type === 'block';

/** Open devices, and mapped ones: of these the engine saves /dev/zero alone (handle_vma() in criu/proc_parse.c). */
export const devices: Detector = ({ descriptors, mapped }) => [
  ...descriptors
    .filter((file) => isDevice(file) && (file.type === 'block' || !isSaved(file)))
    .map(({ target }) => finding(target)),
  ...mapped
    .filter((file) => isDevice(file) && !(file.major === MEM && file.minor === 5))
    .map(({ target }) => finding(target)),
];

const terminalNumber = (file: DescriptorFacts): number | undefined => {
  const line = file.info.find((each) => each.startsWith('tty-index:'));
  return line === undefined ? undefined : Number(line.slice('tty-index:'.length));
};

const masters = (processes: readonly ProcessFacts[]): ReadonlySet<number | undefined> =>
  new Set(processes.flatMap(({ descriptors }) => descriptors.filter(isMaster).map(terminalNumber)));

/** Pseudo-terminals whose other end, with the screen, is held outside. */
export const terminals: Detector = ({ descriptors }, { members }) => {
  // One whose other end is closed has no name any more; the engine makes another such.
  const slaves = descriptors.filter(
    ({ type, major, target }) =>
      type === 'character' && major === PTY_SLAVE && !target.endsWith(' (deleted)'),
  );
  if (slaves.length === 0) return [];
  const held = masters(members);
  return slaves
    .filter(({ minor }) => !held.has(minor))
    .map(({ target }) => ({
      kind: 'terminal',
      what: `the terminal ${target}`,
      why: 'whoever shows it is not part of the application',
      advice: 'start the program without a terminal, or end the session',
    }));
};

/** Files of no kind that the engine knows. */
export const unknownFiles: Detector = ({ descriptors }) =>
  descriptors
    .filter(({ target }) => !/^(\/|socket:|pipe:|anon_inode:|[a-z_]+:\[\d+\]$)/.test(target))
    .map(({ target }) => ({
      kind: 'kernel-object',
      what: `a kernel object (${target})`,
      why: UNKNOWN_OBJECT,
      advice: 'turn the feature that uses it off in the program',
    }));
