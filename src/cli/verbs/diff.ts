import type { DiffReport } from '../../api/index.ts';
import { formatSize } from '../../common/index.ts';
import { formatTable } from '../output.ts';

const SIGNS = { added: '+', removed: '-', changed: '~' } as const;

/** The rows of what came (`+`) and of what went (`-`). */
const signed = <T>(
  { added, removed }: { added: readonly T[]; removed: readonly T[] },
  toCells: (item: T) => readonly string[],
): string[][] => [
  ...removed.map((item) => [SIGNS.removed, ...toCells(item)]),
  ...added.map((item) => [SIGNS.added, ...toCells(item)]),
];

const section = (title: string, headings: readonly string[], rows: readonly string[][]): string[] =>
  rows.length === 0 ? [] : [`${title}\n${formatTable(['', ...headings], rows)}`];

const formatProcesses = ({ processes }: DiffReport): string[] =>
  section(
    'Processes',
    ['PID', 'COMMAND'],
    signed(processes, ({ pid, command }) => [String(pid), command]),
  );

const formatFiles = ({ files }: DiffReport): string[] =>
  section(
    'Files',
    ['SIZE', 'PATH'],
    files.map(({ path, change, bytes }) => [SIGNS[change], bytes === null ? '' : formatSize(bytes), path]),
  );

const formatMemory = ({ memory }: DiffReport): string[] =>
  section(
    'Memory',
    ['PID', 'PROCESS', 'PAGES', 'ADDRESSES', 'MAPPING'],
    memory.map(({ pid, process, start, end, what, pagesChanged }) => [
      SIGNS.changed,
      String(pid),
      process,
      String(pagesChanged),
      `${start}-${end}`,
      what,
    ]),
  );

const formatDescriptors = ({ descriptors }: DiffReport): string[] =>
  section(
    'Descriptors',
    ['PID', 'PROCESS', 'FD', 'WHAT'],
    signed(descriptors, ({ pid, process, fd, what }) => [String(pid), process, String(fd), what]),
  );

const formatSockets = ({ sockets }: DiffReport): string[] =>
  section(
    'Sockets',
    ['KIND', 'LOCAL', 'REMOTE', 'STATE'],
    signed(sockets, ({ kind, local, remote, state }) => [kind, local, remote ?? '', state ?? '']),
  );

/** `appshot diff` for people: a section for each kind of difference that there is. */
export const formatDiff = (report: DiffReport): string => {
  const sections = [formatProcesses, formatFiles, formatMemory, formatDescriptors, formatSockets].flatMap(
    (format) => format(report),
  );
  return sections.length === 0
    ? `nothing changed from ${report.from} to ${report.to}`
    : sections.join('\n\n');
};
