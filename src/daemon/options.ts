import type { LogLevel } from '../common/index.ts';

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
  /** Group that may use the socket, besides root. */
  readonly group?: string;
  readonly logLevel: LogLevel;
}
