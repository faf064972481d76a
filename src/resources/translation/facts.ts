/** What translation tables are made of: the kernel's view of the processes, and what only the registry knows. */
import type { Places, Redirection } from './places.ts';

/** An ID as this machine and as the application has it. */
export interface IdPair {
  readonly system: number;
  readonly virtual: number;
}

export interface TaskIds extends IdPair {
  readonly name: string;
  /** The process that it belongs to. */
  readonly process: IdPair;
}

export interface ProcessIds extends IdPair {
  readonly name: string;
  /** Its process group and session; `virtual` is 0 for those that were made outside. */
  readonly group: IdPair;
  readonly session: IdPair;
}

export interface HeldDescriptor {
  readonly process: IdPair;
  readonly fd: number;
  /** As the kernel names it: a path, `socket:[INODE]`, `anon_inode:[eventfd]`. */
  readonly target: string;
  /** What is behind it and tells it from others: `pipe:[INODE]`, `socket:[INODE]`, `MAJOR:MINOR:INODE`; undefined where nothing does. */
  readonly object: string | undefined;
  /** Whether it is a POSIX message queue. */
  readonly isQueue: boolean;
}

export interface SystemVObject {
  readonly kind: 'shm' | 'sem' | 'msg';
  readonly id: number;
  /** As a number without a sign; 0 is private. */
  readonly key: number;
}

export interface BoundPort {
  readonly protocol: 'tcp' | 'udp';
  /** `0.0.0.0` and `::` are any. */
  readonly address: string;
  readonly port: number;
}

export interface ClockOffset {
  readonly clock: string;
  /** Seconds by which it is ahead of this machine's. */
  readonly seconds: number;
}

/** The kernel's view of an application that runs. */
export interface KernelView {
  /** PID 1 of its environment, and the first process of its chain. */
  readonly initPid: number;
  readonly rootPid: number;
  /** As /proc/PID/ns names it: `ipc:[4026531839]`. */
  namespace(type: 'ipc' | 'net' | 'time' | 'uts'): string;
  readonly processes: readonly ProcessIds[];
  readonly threads: readonly TaskIds[];
  readonly descriptors: readonly HeldDescriptor[];
  readonly workingDirectories: readonly string[];
  readonly systemV: readonly SystemVObject[];
  readonly bound: readonly BoundPort[];
  readonly clocks: readonly ClockOffset[];
}

/** A port of this machine that leads to one of the application's. */
export interface PublishedPort {
  readonly protocol: 'tcp' | 'udp';
  /** Of this machine; any when left out. */
  readonly address?: string | undefined;
  readonly port: number;
  /** Of the application. */
  readonly target: number;
}

/** What the kernel does not know: an application has it from its registration on, also while it sleeps. */
export interface Registered {
  /** The name of this machine. */
  readonly node: string;
  readonly address: string;
  readonly mac: string;
  readonly hostname: string;
  readonly network: string;
  /** The outer end of its veth pair; undefined when it has none. */
  readonly link?: { readonly index: number; readonly name: string } | undefined;
  readonly published: readonly PublishedPort[];
  readonly places: Places;
  /** Targets of volumes. */
  readonly volumes: readonly string[];
  readonly links: readonly { readonly path: string; readonly target: string }[];
  readonly redirections: readonly Redirection[];
}
