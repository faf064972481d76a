import type { LogLevel } from '../common/index.ts';
import type { GatewayPlan } from '../gateway/index.ts';

/** Which snapshots stay, besides those that are pinned and the latest of each application. */
export interface Retention {
  /** Snapshots kept of each application. */
  readonly historyKeep: number;
  /** Milliseconds after which a snapshot goes; never when left out. */
  readonly historyTtlMs: number | undefined;
  /** Most bytes that all snapshots may take together. */
  readonly quotaBytes: number | undefined;
}

export interface DaemonOptions {
  /** Where applications, snapshots and the registry are; absolute. */
  readonly dataDir: string;
  /** Where the socket and the environments are; absolute. */
  readonly runDir: string;
  /** IPv4 network in CIDR notation. */
  readonly network: string;
  /** Environments kept ready; 2 when left out. */
  readonly pool?: number;
  readonly engineDir?: string;
  /** Bytes of memory that all applications may have together; all that the machine has when left out. */
  readonly memory?: number;
  /** Where this machine looks up names, absolute; no file is changed when left out. */
  readonly hostsFile?: string;
  /** Where the web gateway listens, for HTTP, HTTPS or both; there is none when left out. */
  readonly web?: Omit<GatewayPlan, 'sites'>;
  /** Group that may use the socket, besides root. */
  readonly group?: string;
  readonly retention: Retention;
  readonly logLevel: LogLevel;
}
