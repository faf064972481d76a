import type { AppDetail } from '../../api/index.ts';
import { formatDuration, formatSize } from '../../common/index.ts';
import { formatFields, formatTable } from '../output.ts';

const tellSnapshot = ({ snapshot }: AppDetail): string | undefined =>
  snapshot === null
    ? undefined
    : `${snapshot.id}, taken ${snapshot.takenAt}, ${formatSize(snapshot.bytes)} in ${snapshot.files} files`;

const tellOrigin = ({ template, generation }: AppDetail): string | undefined => {
  if (template === null) return generation === 0 ? undefined : `none; generation ${generation}`;
  const unseen = template.unseen.map(({ pid, name }) => `${name} in process ${pid}`);
  const old = unseen.length === 0 ? '' : `; as in the template: ${unseen.join(', ')}`;
  return `${template.name}, clone ${template.instance}, generation ${generation}${old}`;
};

const tellFailure = ({ failure }: AppDetail): string | undefined =>
  failure === null
    ? undefined
    : `${failure.message} [${failure.code}] at step ${failure.step}, ${failure.at}`;

const tellTime = (
  result: { ms: number; timings: readonly { step: string; ms: number }[] } | null,
): string | undefined => {
  if (result === null) return undefined;
  const steps = result.timings.map(({ step, ms }) => `${step} ${formatDuration(ms / 1000)}`);
  return `${formatDuration(result.ms / 1000)} (${steps.join(', ')})`;
};

const tellLimits = ({ spec: { limits } }: AppDetail): string | undefined => {
  const parts = [
    limits.memory === undefined ? [] : [`memory ${formatSize(limits.memory)}`],
    limits.pids === undefined ? [] : [`${limits.pids} tasks`],
    limits.cpus === undefined ? [] : [`${limits.cpus} CPUs`],
  ].flat();
  return parts.length === 0 ? undefined : parts.join(', ');
};

const listOf = (items: readonly string[]): string | undefined =>
  items.length === 0 ? undefined : items.join(', ');

const formatSummary = (detail: AppDetail): string =>
  formatFields({
    name: detail.name,
    aid: detail.aid,
    state: `${detail.state} since ${detail.since}`,
    address: detail.address,
    hostname: detail.hostname,
    created: detail.createdAt,
    template: tellOrigin(detail),
    idle: detail.spec.idle === undefined ? undefined : `sleeps after ${formatDuration(detail.spec.idle)}`,
    limits: tellLimits(detail),
    volumes: listOf(
      detail.spec.volumes.map(
        ({ source, target, readOnly }) => `${source}:${target}${readOnly ? ':ro' : ''}`,
      ),
    ),
    environment: detail.environment ?? undefined,
    snapshot: tellSnapshot(detail),
    memory: detail.memory === null ? undefined : `${detail.memory.mode}: ${detail.memory.reason}`,
    'last sleep': tellTime(detail.lastSleep),
    'last wake': tellTime(detail.lastWake),
    failure: tellFailure(detail),
    listening: listOf(
      detail.listening.map(({ protocol, address, port }) => `${protocol} ${address}:${port}`),
    ),
    connections: String(detail.connections),
    files: detail.files,
    logs: listOf(detail.logs),
  });

const formatProcesses = ({ processes }: AppDetail): string =>
  formatTable(
    ['PID', 'SYSTEM PID', 'PARENT', 'UID', 'THREADS', 'MEMORY', 'COMMAND'],
    processes.map((process) => [
      String(process.pid),
      String(process.systemPid),
      String(process.parent),
      String(process.uid),
      String(process.threads),
      formatSize(process.rss),
      process.command,
    ]),
  );

const formatResources = ({ resources }: AppDetail): string =>
  formatTable(
    ['KIND', 'PID', 'RESOURCE'],
    resources.map(({ kind, pid, description }) => [kind, pid === undefined ? '' : String(pid), description]),
  );

/** `appshot inspect` for people: the summary, then what runs and what it holds. */
export const formatDetail = (detail: AppDetail): string => {
  const parts = [formatSummary(detail)];
  if (detail.processes.length > 0) parts.push(formatProcesses(detail));
  if (detail.resources.length > 0) parts.push(formatResources(detail));
  return parts.join('\n\n');
};
