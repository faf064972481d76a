/**
 * What `CLASSIFY` rules single out among an application's own files (figure 9): which paths begin blank in each clone, which are copied
 * for it, and which one copy serves all clones of a template. Patterns are expanded once, to the topmost paths; a rule about a directory
 * is about everything below it, until a later rule says otherwise. Pure.
 */
import { isWhiteout } from '../../snapshots/index.ts';
import type { Entry } from '../../snapshots/index.ts';
import { MOST_PATHS } from '../format.ts';
import type { Overrides, Places } from '../format.ts';
import { insideOf } from '../layers.ts';
import { isWithin } from './found.ts';
import type { Classification, ClassifyInput } from './found.ts';
import { compilePattern } from './glob.ts';

type Override = Overrides['paths'][number];
type Kind = Override['kind'];

/** A path that a rule singles out. */
export interface RuledPath extends Override {
  readonly rule: Classification;
}

export interface RuledFiles {
  readonly memory: Overrides['memory'];
  readonly paths: readonly RuledPath[];
  /** Why it cannot be so; a sentence each. */
  readonly reasons: readonly string[];
}

interface Input extends Pick<ClassifyInput, 'rules' | 'places'> {
  readonly entries: readonly Entry[];
  /** Directories of the machine that are shown below the application's own. */
  readonly shown: readonly string[];
  readonly volumes: readonly { readonly target: string }[];
}

/** Each of them takes a redirection in every clone. */
const MOST_SHARED = 256;
const EVERYTHING = '/**';
const IDENTITY = ['/etc/hosts', '/etc/hostname'];
/** Provided by the kernel or by AppShot, not files of the application. */
const RESERVED = ['/proc', '/sys', '/dev', '/.appshot'];
const SHM = '/dev/shm';

export const isOverriding = (chosen: string): chosen is Override['class'] =>
  chosen === 'virtualize' || chosen === 'duplicate' || chosen === 'shared';

const placeOf = ({ file, line }: Classification): string => `${file}:${line}`;

/** What a pattern begins with before its first wildcard. */
const literal = (pattern: string): string => /^[^*?]*/.exec(pattern)?.[0] ?? '';

const tester = (pattern: string): ((path: string) => boolean) => {
  const [beginning, matches] = [literal(pattern), compilePattern(pattern)];
  return (path) => path.startsWith(beginning) && matches(path);
};

/** A pattern with `/**` at its end means the directory before it, with everything below. */
const isAbout = ({ type, pattern }: Classification): ((path: string, kind: Kind) => boolean) => {
  const whole = pattern === null || pattern === '**' ? EVERYTHING : pattern;
  const matches = tester(whole);
  if (!whole.endsWith(EVERYTHING)) return (path, kind) => kind === type && matches(path);
  const isDirectory = tester(whole.slice(0, -EVERYTHING.length));
  return (path, kind) => matches(path) || (kind === 'directory' && isDirectory(path));
};

const isForAll = ({ pattern }: Classification): boolean =>
  pattern === null || pattern === '**' || pattern === EVERYTHING;

const overlaps = (one: string, other: string): boolean => isWithin(one, other) || isWithin(other, one);

const ownPlaces = (places: Places | undefined): string[] => [
  ...(places?.links ?? []).flatMap(({ path, target }) => [path, target]),
  ...(places?.redirects ?? []).flatMap(({ from, to }) => [from, to]),
];

/** Why a path cannot be what is wanted for it; undefined when it can. */
const flawOf = (path: string, chosen: Override['class'], input: Input): string | undefined => {
  if (chosen === 'duplicate') return undefined;
  const place = ownPlaces(input.places).find((one) => overlaps(path, one));
  if (place !== undefined) return `${place} is each clone's own place already`;
  if (chosen === 'virtualize') return undefined;
  const identity = IDENTITY.find((one) => isWithin(one, path));
  if (identity !== undefined) return `${identity} follows the identity of each clone`;
  const covered = [...input.volumes.map(({ target }) => target), ...input.shown].find((one) =>
    isWithin(one, path),
  );
  return covered === undefined ? undefined : `${covered} is mounted there`;
};

/** The path of an entry that rules may be about. */
const subjectOf = (entry: Entry, { shown, volumes }: Input): { path: string; kind: Kind } | undefined => {
  const isFile = entry.type === 'file' || entry.type === 'link';
  if ((!isFile && entry.type !== 'directory') || isWhiteout(entry)) return undefined;
  const path = insideOf(entry.path, shown);
  if (path === undefined || !path.isWellFormed()) return undefined;
  const isOwn =
    (isWithin(path, SHM) || !RESERVED.some((place) => isWithin(path, place))) &&
    !volumes.some(({ target }) => isWithin(path, target));
  return isOwn ? { path, kind: isFile ? 'file' : 'directory' } : undefined;
};

/** A directory on the way down for which a rule has decided. */
interface Frame {
  readonly path: string;
  readonly index: number;
  readonly class: Override['class'];
  readonly rule: Classification;
}

class Expansion {
  readonly paths: RuledPath[] = [];
  readonly reasons = new Set<string>();
  /** Rules that have decided about some path. */
  readonly used = new Set<Classification>();
  readonly #input: Input;
  readonly #rules: readonly { readonly rule: Classification; readonly isAbout: ReturnType<typeof isAbout> }[];
  readonly #frames: Frame[] = [];

  constructor(input: Input, rules: readonly Classification[]) {
    this.#input = input;
    this.#rules = rules.map((rule) => ({ rule, isAbout: isAbout(rule) }));
  }

  run(): void {
    for (const entry of this.#input.entries) {
      const subject = subjectOf(entry, this.#input);
      if (subject) this.#take(subject.path, subject.kind);
      if (this.paths.length <= MOST_PATHS) continue;
      const last = this.paths.pop();
      this.reasons.add(
        `${last ? placeOf(last.rule) : 'a rule'} is about more than ${MOST_PATHS} paths: name the directory that they lie in`,
      );
      return;
    }
  }

  #take(path: string, kind: Kind): void {
    while (!isWithin(path, this.#frames.at(-1)?.path ?? path)) this.#frames.pop();
    const outer = this.#frames.at(-1);
    const index = Math.max(
      this.#rules.findLastIndex((one) => one.isAbout(path, kind)),
      outer?.index ?? -1,
    );
    const rule = this.#rules[index]?.rule;
    if (rule === undefined || index === outer?.index) return;
    this.used.add(rule);
    const chosen = this.#decide(path, rule, outer);
    if (chosen === undefined) return;
    if (kind === 'directory') this.#frames.push({ path, index, class: chosen, rule });
    if (chosen !== outer?.class) this.#add({ path, kind, class: chosen, rule });
  }

  /** Within what begins blank, what is to be as the template's is a copy of it. */
  #decide(path: string, rule: Classification, outer: Frame | undefined): Override['class'] | undefined {
    const wanted = isOverriding(rule.class) ? rule.class : undefined;
    if (outer?.class !== 'shared') return wanted ?? (outer && 'duplicate');
    if (wanted !== 'shared')
      this.reasons.add(
        `${placeOf(rule)} wants the class ${rule.class} for ${path}, which lies within what ${placeOf(outer.rule)} shares`,
      );
    return wanted === 'shared' ? wanted : undefined;
  }

  #add(ruled: RuledPath): void {
    const flaw = flawOf(ruled.path, ruled.class, this.#input);
    if (flaw === undefined) this.paths.push(ruled);
    else
      this.reasons.add(
        `${placeOf(ruled.rule)} wants the class ${ruled.class} for ${ruled.path}, but ${flaw}`,
      );
  }
}

const memoryOf = (rules: readonly Classification[]): Overrides['memory'] =>
  rules.findLast(({ type, pattern }) => type === 'memory' && pattern === null)?.class === 'duplicate'
    ? 'duplicate'
    : null;

/** Whether the tree of files must be looked at. */
export const needsFiles = ({ classifications }: Pick<ClassifyInput['rules'], 'classifications'>): boolean =>
  classifications.some(
    ({ type, class: chosen }) => (type === 'file' || type === 'directory') && isOverriding(chosen),
  );

/** Expands the rules about files, and says what cannot be. */
export const expandOverrides = (input: Input): RuledFiles => {
  const all = input.rules.classifications;
  const about = all.filter(({ type }) => type === 'file' || type === 'directory');
  const tooWide = about.filter(
    (rule) => isForAll(rule) && (rule.class === 'virtualize' || rule.class === 'shared'),
  );
  const expansion = new Expansion(
    input,
    about.filter((rule) => !tooWide.includes(rule)),
  );
  if (needsFiles(input.rules)) expansion.run();
  const shared = expansion.paths.filter((one) => one.class === 'shared');
  const idle = about.filter(
    (rule) => rule.class === 'shared' && !tooWide.includes(rule) && !expansion.used.has(rule),
  );
  return {
    memory: memoryOf(all),
    paths: expansion.paths,
    reasons: [
      ...tooWide.map(
        (rule) => `${placeOf(rule)} wants the class ${rule.class} for everything: give it a pattern`,
      ),
      ...expansion.reasons,
      ...idle.map((rule) => `${placeOf(rule)} shares nothing: no file of the application's own fits`),
      ...(shared.length > MOST_SHARED
        ? [
            `rules share ${shared.length} paths, and ${MOST_SHARED} can be: name the directory that they lie in`,
          ]
        : []),
    ],
  };
};

/** What rules make of a path: what is said of the innermost directory that it lies in. */
export const ruledAt = (paths: readonly RuledPath[], path: string): RuledPath | undefined =>
  paths.findLast((one) => isWithin(path, one.path));

/** A path that a template singles out and does not have; undefined when it has them all. */
export const missingPath = (
  { paths }: Overrides,
  entries: readonly Entry[],
  shown: readonly string[],
): string | undefined => {
  if (paths.length === 0) return undefined;
  const kinds = new Map(entries.map((entry) => [insideOf(entry.path, shown), entry.type]));
  return paths.find(({ path, kind }) => {
    const type = kinds.get(path);
    return kind === 'directory' ? type !== 'directory' : type !== 'file' && type !== 'link';
  })?.path;
};
