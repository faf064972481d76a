/**
 * A block of lines in a hosts file that belongs to an owner, between two lines that name it. Pure.
 *
 * Text is taken as bytes, one a character (latin1), so that what others wrote stays as it is in whatever encoding. Lines belong to the
 * block only when both of its ends are there with no other mark between them; of a block that somebody cut the marks go and the lines
 * stay, as nobody can tell whose they are. A name that a line outside of all blocks has keeps its
 * meaning: the block goes without it.
 */
export interface HostsEntry {
  readonly address: string;
  readonly names: readonly string[];
}

const WARNING = '# Made anew by AppShot whenever applications come and go: what is changed here is lost.';
const MARK = /^# (?:BEGIN|END) appshot(?: |$)/;

interface Marks {
  readonly begin: string;
  readonly end: string;
}

const marksOf = (rawOwner: string): Marks => {
  const words = rawOwner.split(/\s+/).filter((word) => word !== '');
  const owner = Buffer.from(['appshot', ...words].join(' '), 'utf8').toString('latin1');
  return { begin: `# BEGIN ${owner}`, end: `# END ${owner}` };
};

const lineOf = ({ address, names }: HostsEntry): string => `${address}\t${names.join(' ')}`;

const blockOf = ({ begin, end }: Marks, entries: readonly HostsEntry[]): string[] => {
  const lines = entries.filter(({ names }) => names.length > 0).map(lineOf);
  return lines.length === 0 ? [] : [begin, WARNING, ...lines, end].map((line) => `${line}\n`);
};

/** A line without its end, and without blanks that somebody left there. */
const bare = (line: string): string => line.replace(/[ \t\r\n]+$/, '');

/** The names in lines that are in no block: another daemon's names come and go. */
const namesIn = (lines: readonly string[]): Set<string> => {
  const names = new Set<string>();
  let inBlock = false;
  for (const line of lines) {
    const [mark] = MARK.exec(bare(line)) ?? [];
    if (mark !== undefined) inBlock = mark.startsWith('# BEGIN');
    const words = (line.split('#')[0] ?? '').trim().split(/\s+/);
    if (!inBlock) for (const name of words.slice(1)) names.add(name.toLowerCase());
  }
  return names;
};

/** Where the block that begins at `start` ends, one past its last line; right behind the mark when it is not whole. */
const endOf = (lines: readonly string[], start: number, { end }: Marks): number => {
  const next = lines.findIndex((line, index) => index > start && MARK.test(bare(line)));
  return bare(lines[next] ?? '') === end ? next + 1 : start + 1;
};

/** Everything but the owner's blocks, and where the first one was. */
const withoutBlocks = (text: string, marks: Marks): { kept: string[]; place: number | undefined } => {
  // Each line with its end; the last may have none.
  const lines = text.match(/[^\n]*\n|[^\n]+$/g) ?? [];
  const kept: string[] = [];
  let place: number | undefined;
  for (let index = 0; index < lines.length;) {
    const line = lines[index] ?? '';
    const begins = bare(line) === marks.begin;
    if (begins || bare(line) === marks.end) place ??= kept.length;
    else kept.push(line);
    index = begins ? endOf(lines, index, marks) : index + 1;
  }
  return { kept, place };
};

/**
 * The file with the owner's block made of `entries`, where it was or at the end; without entries it has no block. A last line without an
 * end gets one when the block follows it.
 */
export const withBlock = (text: string, owner: string, entries: readonly HostsEntry[]): string => {
  const marks = marksOf(owner);
  const { kept, place = kept.length } = withoutBlocks(text, marks);
  const theirs = namesIn(kept);
  const block = blockOf(
    marks,
    entries.map(({ address, names }) => ({ address, names: names.filter((name) => !theirs.has(name)) })),
  );
  const before = kept.slice(0, place).join('');
  const gap = block.length === 0 || before === '' || before.endsWith('\n') ? '' : '\n';
  return [before, gap, ...block, ...kept.slice(place)].join('');
};
