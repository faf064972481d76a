/**
 * Doctor: every kernel feature and tool that AppShot uses, what was found, what it means, what to do. It changes nothing
 * and leaves nothing behind.
 */
import { defaultEngineDir } from '../criu/index.ts';
import { cgroupChecks } from './doctor/cgroups.ts';
import { engineChecks } from './doctor/engine.ts';
import type { Finding } from './doctor/finding.ts';
import { gatewayChecks } from './doctor/gateway.ts';
import { kernelChecks } from './doctor/kernel-features.ts';
import { machineChecks } from './doctor/machine.ts';
import { networkChecks } from './doctor/network.ts';

export interface DoctorOptions {
  /** The engine directory; the usual one when left out. */
  readonly engineDir?: string;
  /** The daemon's data directory; need not exist. */
  readonly dataDir?: string;
}

const CHECKS = [
  ...machineChecks,
  ...kernelChecks,
  ...networkChecks,
  ...cgroupChecks,
  ...engineChecks,
  ...gatewayChecks,
];

/** All findings, in a fixed order. Never throws: what could not be looked at is a finding too. Takes about half a second. */
export const doctor = async ({
  engineDir = defaultEngineDir(),
  dataDir = '/var/lib/appshot',
}: DoctorOptions = {}): Promise<Finding[]> => {
  const findings: Finding[] = [];
  // One after the other: what one probe makes must not be in the way of the next.
  for (const check of CHECKS) findings.push(await check({ engineDir, dataDir }, process.geteuid?.() === 0));
  return findings;
};
