/** Templates for people: `template ls`, and what `template inspect` says of each resource, 100 columns wide. */
import type { TemplateDetail, TemplateResource, TemplateView } from '../../api/index.ts';
import { formatDuration, formatSize, sanitiseLine, sanitiseText } from '../../common/index.ts';
import { formatFields, formatTable } from '../output.ts';

const ageOf = (time: string, now: number): string =>
  formatDuration(Math.max(0, Math.floor((now - Date.parse(time)) / 1000)));

/** `appshot template ls` for people; `now` in milliseconds. */
export const formatTemplates = (templates: readonly TemplateView[], now: number): string =>
  formatTable(
    ['NAME', 'FROM', 'CREATED', 'SHARED', 'COPIED', 'CLONES', 'ID'],
    templates.map(({ name, from, createdAt, memory, clones, id }) => [
      name,
      from.name,
      ageOf(createdAt, now),
      formatSize(memory.layered),
      formatSize(memory.copied),
      String(clones),
      id,
    ]),
  );

/** Columns of the table with those of the rules, and without. */
const WIDTHS = {
  ruled: { name: 26, class: 14, action: 25, rule: 14 },
  plain: { name: 35, class: 14, action: 32, rule: 0 },
} as const;

/** Of resources that are alike, so many are shown. */
const SHOWN = 3;

/** What does not fit loses its middle: of paths, the end tells more than that. */
const elide = (text: string, width: number): string => {
  const safe = sanitiseLine(text);
  if (safe.length <= width) return safe;
  const head = Math.floor((width - 1) / 3);
  return `${safe.slice(0, head)}…${safe.slice(head + 1 - width)}`;
};

/** Lines of whole words; a word that is too long has one to itself. */
const wrap = (text: string, width: number): string[] => {
  const lines = [''];
  for (const word of sanitiseLine(text).split(' ')) {
    const line = lines.at(-1) ?? '';
    if (line === '') lines[lines.length - 1] = word;
    else if (line.length + 1 + word.length <= width) lines[lines.length - 1] = `${line} ${word}`;
    else lines.push(word);
  }
  return lines;
};

const placeOf = ({ rule }: TemplateResource): string =>
  rule === null ? '' : `${rule.file.slice(rule.file.lastIndexOf('/') + 1)}:${rule.line}`;

/** What becomes of them is the same, and for the same reason. */
const alike = ({ type, classes, action, rule }: TemplateResource): string =>
  JSON.stringify([type, classes, action, rule]);

/** The names below each other; what holds for all of them stands beside the first ones. */
const formatGroup = (
  group: readonly TemplateResource[],
  widths: (typeof WIDTHS)['ruled' | 'plain'],
): string[][] => {
  const [first] = group;
  if (first === undefined) return [];
  // To say that there is one more takes as much room as to show it.
  const shown = group.length > SHOWN + 1 ? group.slice(0, SHOWN) : group;
  const names = shown.map(({ name }) => elide(name, widths.name));
  const cells = [
    [first.type],
    shown.length === group.length ? names : [...names, `and ${group.length - shown.length} more`],
    wrap(first.classes.join(', '), widths.class),
    wrap(first.action, widths.action),
    [elide(placeOf(first), widths.rule)],
  ];
  const height = Math.max(...cells.map((lines) => lines.length));
  return Array.from({ length: height }, (_, line) => cells.map((lines) => lines[line] ?? ''));
};

const formatResources = ({ resources }: TemplateDetail): string => {
  const isRuled = resources.some(({ rule }) => rule !== null);
  const groups = Map.groupBy(resources, alike);
  const rows = [...groups.values()].flatMap((group) =>
    formatGroup(group, isRuled ? WIDTHS.ruled : WIDTHS.plain),
  );
  const headings = ['TYPE', 'NAME', 'CLASS', 'ACTION', 'RULE'];
  return isRuled
    ? formatTable(headings, rows)
    : formatTable(
        headings.slice(0, -1),
        rows.map((row) => row.slice(0, -1)),
      );
};

const formatRules = ({ rules }: TemplateDetail): string[] =>
  rules.map(({ file, text }) => {
    const lines = sanitiseText(text.trimEnd()).split('\n');
    const numbered = lines.map((line, index) => `${String(index + 1).padStart(4)}  ${line}`.trimEnd());
    return `${sanitiseLine(file)}:\n${numbered.join('\n')}`;
  });

const formatSummary = (
  { name, id, createdAt, from, snapshot, memory, clones, resources }: TemplateDetail,
  now: number,
): string =>
  formatFields({
    name,
    id,
    created: `${createdAt}, ${ageOf(createdAt, now)} ago`,
    from: `${from.name} (${from.aid})${from.template === null ? '' : `, a clone of ${from.template}`}`,
    snapshot,
    memory: `${formatSize(memory.layered)} shared by all clones, ${formatSize(memory.copied)} copied for each`,
    clones: String(clones),
    resources: `${resources.length}, each of them with --json`,
  });

/**
 * `appshot template inspect` for people: the summary, the table of resources, and the rules as they were given; `now` in
 * milliseconds.
 */
export const formatTemplate = (detail: TemplateDetail, now: number): string =>
  [formatSummary(detail, now), formatResources(detail), ...formatRules(detail)].join('\n\n');
