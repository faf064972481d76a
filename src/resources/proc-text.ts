/** Parsers of what /proc says about a process and its mounts (proc(5)). Pure; what does not fit is left out. */
import type { MountFacts } from './facts.ts';

/** `Key:\tvalue` lines by key. */
export const parseFields = (text: string): ReadonlyMap<string, string> =>
  new Map(
    text.split('\n').flatMap((line) => {
      const colon = line.indexOf(':');
      return colon < 0 ? [] : [[line.slice(0, colon), line.slice(colon + 1).trim()] as const];
    }),
  );

/** Names are escaped in /proc/PID/status and mountinfo: a space or line feed as its octal number. */
export const unescapeName = (text: string): string =>
  text.replace(/\\(?:([0-7]{3})|n|\\)/g, (whole, octal: string | undefined) =>
    octal === undefined ? (whole === String.raw`\n` ? '\n' : '\\') : String.fromCodePoint(parseInt(octal, 8)),
  );

/** A line of /proc/PID/maps. */
export interface MappingLine {
  /** `START-END`, as the entry below map_files is called. */
  readonly range: string;
  /** `MAJOR:MINOR` of the file system, inode and name. */
  readonly identity: string;
  readonly target: string;
}

/**
 * The named objects of /proc/PID/maps, each once; names without an inode, such as `[heap]`, are none.
 *
 *     7f95b4a5f000-7f95b4a60000 rw-s 00000000 00:0e 70657      /path
 *
 * Processes have thousands of these lines, so they are cut at their spaces rather than matched.
 */
export const parseMaps = (text: string): MappingLine[] => {
  const named = new Map<string, MappingLine>();
  for (const line of text.split('\n')) {
    const rangeEnd = line.indexOf(' ');
    if (rangeEnd < 0 || line.includes(' 00:00 0 ')) continue;
    const identity = line.slice(line.indexOf(' ', rangeEnd + 6) + 1);
    if (named.has(identity)) continue;
    const target = identity.replace(/^\S+ \d+ */, '').replaceAll(String.raw`\012`, '\n');
    named.set(identity, { range: line.slice(0, rangeEnd), identity, target });
  }
  return [...named.values()];
};

/** /proc/PID/mountinfo by mount ID. */
export const parseMountInfo = (text: string): ReadonlyMap<number, MountFacts> =>
  new Map(
    text.split('\n').flatMap((line) => {
      const [before = '', after = ''] = line.split(' - ');
      const [id, parent, device = '', , point = ''] = before.split(' ');
      const [type = '', , options = ''] = after.split(' ');
      if (!/^\d+$/.test(id ?? '')) return [];
      const mount = { id: Number(id), parent: Number(parent), device, type, options: options.split(',') };
      return [[mount.id, { ...mount, point: unescapeName(point) }] as const];
    }),
  );

/** /proc/PID/fdinfo/FD: flags, mount, and the other lines. */
export const parseFdInfo = (text: string): { flags: number; mount: number; info: string[] } => ({
  flags: parseInt(/^flags:\t(\d+)/m.exec(text)?.[1] ?? '0', 8),
  mount: Number(/^mnt_id:\t(\d+)/m.exec(text)?.[1] ?? -1),
  info: text.split('\n').filter((line) => line !== '' && !/^(pos|flags|mnt_id|ino):/.test(line)),
});

/** /proc/PID/timers. */
export const parseTimers = (text: string): { id: number; clock: number }[] =>
  [...text.matchAll(/^ID: (\d+)$[^]*?^ClockID: (-?\d+)$/gm)].map(([, id, clock]) => ({
    id: Number(id),
    clock: Number(clock),
  }));

/** The rows of a table below /proc/net or /proc/sysvipc as words by column; the first line names the columns. */
export const parseTable = (text: string): ReadonlyMap<string, string>[] => {
  const [head = [], ...rows] = text.split('\n').map((line) => line.trim().split(/\s+/));
  return rows
    .filter((row) => row.length > 1)
    .map((row) => new Map(row.map((word, at) => [head[at] ?? '', word])));
};
