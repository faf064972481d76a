/**
 * A signal to the processes of a chain. It goes to those that have a use for it, which catch it or have blocked it to wait for it: most
 * signals end whoever does neither, and with a server there are often shells and helpers that know nothing of them.
 */
import { readFileSync, statSync } from 'node:fs';
import { constants } from 'node:os';
import { logFile } from '../harness/index.ts';
import type { Environment } from '../environments/index.ts';
import type { ApplicationRecord } from '../registry/index.ts';
import type { House } from './context.ts';
import { childrenOf, systemPid } from './processes.ts';

/** A process of the chain, and which of those that were named it is or descends from. */
interface Member {
  readonly pid: number;
  readonly process: string | undefined;
}

const statusOf = (pid: number): string => {
  try {
    return readFileSync(`/proc/${pid}/status`, 'utf8');
  } catch {
    return '';
  }
};

/** Source: proc_pid_status(5), SigBlk and SigCgt: bit 0 is signal 1. */
const hasUseFor = (pid: number, signal: number): boolean => {
  const masks = statusOf(pid).matchAll(/^Sig(?:Blk|Cgt):\s*([0-9a-f]+)$/gm);
  return [...masks].some(([, digits]) => ((BigInt(`0x${digits}`) >> BigInt(signal - 1)) & 1n) === 1n);
};

const fileAt = (path: string): string | undefined => {
  const found = statSync(path, { throwIfNoEntry: false, bigint: true });
  return found && `${found.dev}:${found.ino}`;
};

/** Each process was started with logs of its own as its outputs; whatever it starts has them too, or descends from who has. */
const nameBy = (house: House, { aid, spec }: ApplicationRecord): ((pid: number) => string | undefined) => {
  const { log } = house.layout.application(aid);
  const streams = [
    ['stdout', 1],
    ['stderr', 2],
  ] as const;
  const byFile = new Map(
    spec.processes.flatMap(({ name }) =>
      streams.map(([stream]) => [fileAt(logFile(log, name, stream)), name] as const),
    ),
  );
  return (pid) =>
    streams
      .map(([, fd]) => byFile.get(fileAt(`/proc/${pid}/fd/${fd}`) ?? 'closed'))
      .find((name) => name !== undefined);
};

const membersOf = (house: House, record: ApplicationRecord, environment: Environment): Member[] => {
  const { processes } = record.spec;
  const own = nameBy(house, record);
  const below = (pid: number, parent: string | undefined): Member[] =>
    childrenOf(pid).flatMap((child) => {
      const process = own(child) ?? parent;
      return [{ pid: child, process }, ...below(child, process)];
    });
  const only = processes.length === 1 ? processes[0]?.name : undefined;
  return below(systemPid(house, environment, Number(record.data['rootPid'])), only);
};

/** The number of `USR2` or `SIGUSR2`; undefined when there is no such signal. */
const numberOf = (signal: string): number | undefined =>
  (constants.signals as Readonly<Record<string, number>>)[`SIG${signal.replace(/^SIG/, '')}`];

/**
 * Sends it to every process of the chain that has a use for it, or to those of `process`; done when it is delivered, which is before a
 * handler has run. Throws with the reason when there is nobody to take it.
 */
export const signalInside = (
  house: House,
  record: ApplicationRecord,
  environment: Environment,
  { signal, process: wanted }: { readonly signal: string; readonly process: string | null },
): void => {
  const number = numberOf(signal);
  if (number === undefined) throw new Error(`there is no signal ${signal}`);
  const members = membersOf(house, record, environment).filter(
    ({ process }) => wanted === null || process === wanted,
  );
  if (members.length === 0) throw new Error(`no process ${wanted ?? 'of the chain'} is running`);
  const takers = members.filter(({ pid }) => hasUseFor(pid, number));
  if (takers.length === 0) throw new Error(`none of ${members.length} processes handles it`);
  for (const { pid } of takers) process.kill(pid, number);
};
