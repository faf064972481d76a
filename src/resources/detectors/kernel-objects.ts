/**
 * Objects without a file: `anon_inode:[...]` descriptors and mappings. The engine saves those of `SAVED` (dump_one_file()
 * in criu/files.c) and refuses every other.
 */
import type { ProcessFacts } from '../facts.ts';
import { UNKNOWN_OBJECT } from './finding.ts';
import type { Detector, Finding } from './finding.ts';

const PREFIX = 'anon_inode:';
const SAVED = new Set(['eventfd', 'eventpoll', 'inotify', 'fanotify', 'signalfd', 'timerfd', 'pidfd']);

interface Known {
  readonly names: RegExp;
  readonly finding: Finding;
}

const KNOWN: readonly Known[] = [
  {
    names: /^io_uring$/,
    finding: {
      kind: 'io_uring',
      what: 'an io_uring instance',
      why: 'CRIU cannot save the queues that the program shares with the kernel',
      advice:
        'turn io_uring off in the program (UV_USE_IO_URING=0 for libuv, io_method=worker for PostgreSQL): it then uses epoll or threads',
    },
  },
  {
    names: /^perf_event$/,
    finding: {
      kind: 'perf_event',
      what: 'a performance counter',
      why: 'its counts belong to the hardware of this machine',
      advice: 'end the profiler, or turn profiling off in the program',
    },
  },
  {
    names: /^userfaultfd$/,
    finding: {
      kind: 'userfaultfd',
      what: 'a userfaultfd descriptor',
      why: 'the program handles page faults itself, and CRIU cannot save which memory it watches',
      advice: 'turn the feature off in the program, or save it before it begins',
    },
  },
  {
    names: /^(bpf-|btf$)/,
    finding: {
      kind: 'bpf',
      what: 'a BPF program or map',
      why: 'it is loaded into the kernel, out of reach of a snapshot',
      advice: 'run what loads BPF outside the application',
    },
  },
  {
    names: /^kvm/,
    finding: {
      kind: 'kvm',
      what: 'a virtual machine (KVM)',
      why: 'its state lies in the kernel, where CRIU cannot read it',
      advice: 'use the snapshots of the virtual machine monitor instead',
    },
  },
  {
    names: /^seccomp notify$/,
    finding: {
      kind: 'seccomp',
      what: 'a supervisor of system calls (seccomp notification)',
      why: 'CRIU cannot save the link between a supervisor and the program it watches',
      advice: 'run without the sandbox that supervises system calls',
    },
  },
];

/** `anon_inode:[io_uring]` and `anon_inode:bpf-map` without their wrapping; undefined for anything else. */
export const kernelObjectName = (target: string): string | undefined =>
  target.startsWith(PREFIX) ? target.slice(PREFIX.length).replace(/^\[(.*)\]$/s, '$1') : undefined;

const judge = (target: string): Finding | undefined => {
  const name = kernelObjectName(target);
  if (name === undefined || SAVED.has(name)) return undefined;
  return (
    KNOWN.find(({ names }) => names.test(name))?.finding ?? {
      kind: 'kernel-object',
      what: `a kernel object (${name})`,
      why: UNKNOWN_OBJECT,
      advice: 'turn the feature that uses it off in the program',
    }
  );
};

/** Objects that a process holds as descriptors, or only as mappings. */
export const kernelObjects: Detector = ({ descriptors, mapped }: ProcessFacts) =>
  [...descriptors, ...mapped].map(({ target }) => judge(target)).filter((finding) => finding !== undefined);

/** PIDFD_THREAD is O_EXCL. */
const PIDFD_THREAD = 0o200;

/** Process descriptors of a thread, or of a process that the snapshot does not hold (criu/pidfd.c). */
export const processDescriptors: Detector = ({ descriptors }, { members }) =>
  descriptors
    .filter(({ target }) => kernelObjectName(target) === 'pidfd')
    .flatMap(({ flags, info }) => {
      const pid = Number(info.find((line) => line.startsWith('Pid:'))?.slice(4));
      const thread = (flags & PIDFD_THREAD) !== 0;
      // -1 is a process that has ended: the engine makes another that has ended.
      if (!thread && (pid === -1 || members.some(({ systemPid }) => systemPid === pid))) return [];
      return {
        kind: 'pidfd',
        what: thread
          ? 'a descriptor of a thread (pidfd)'
          : 'a descriptor of a process outside the application (pidfd)',
        why: thread
          ? 'CRIU saves descriptors of whole processes only'
          : 'that process is not part of the snapshot',
        advice: thread ? UPDATE : 'let the program watch its own children only',
      };
    });

const UPDATE = 'let the program watch the process instead of the thread';
