/**
 * The text of an `appshot.yaml` as plain values, with the place of each, so that whatever is wrong with a value later can be
 * shown where it was written.
 *
 * Every scalar is text, as it stands in the file: `1.10` stays `1.10` and `no` stays `no`. What it means is its field's to say.
 * Only a value that is not there at all (`key:` and nothing, or YAML's own words for that) is null.
 */
import { isAlias, isMap, isScalar, isSeq, LineCounter, parseAllDocuments } from 'yaml';
import type { Alias, Document, ParsedNode, Scalar, YAMLError, YAMLMap, YAMLSeq } from 'yaml';
import { AppShotError } from '../../common/index.ts';
import { interpolate } from './interpolate.ts';
import type { Environment } from './interpolate.ts';

const MAX_BYTES = 1 << 20;
/** Aliases count as often as they are used, so that a small file cannot stand for a large one. */
const MAX_VALUES = 100_000;
const MAX_DEPTH = 50;
/** Without quotes, as YAML 1.2 has it. */
const NOTHING = /^(?:|~|null|Null|NULL)$/;

export type Path = readonly PropertyKey[];

/** Where in the file, and why: what `BAD_CONFIG` is made from. */
export class Problem extends Error {
  readonly path: Path;
  readonly offset: number | undefined;

  constructor(path: Path, reason: string, offset?: number) {
    super(reason);
    this.path = path;
    this.offset = offset;
  }
}

export interface Source {
  readonly file: string;
  readonly text: string;
  readonly lines: LineCounter;
  /** Offset of the key, or of the list item, at a path. */
  readonly offsets: Map<string, number>;
}

export const createSource = (text: string, file: string): Source => ({
  file,
  text,
  lines: new LineCounter(),
  offsets: new Map(),
});

const toKey = (path: Path): string => JSON.stringify(path.map(String));

/** The place of the value at `path`, or of the nearest one around it that is in the file. */
const locate = (source: Source, path: Path): number => {
  for (let length = path.length; length > 0; length--) {
    const offset = source.offsets.get(toKey(path.slice(0, length)));
    if (offset !== undefined) return offset;
  }
  return 0;
};

export const toAppShotProblem = (source: Source, problem: Problem): AppShotError => {
  const position = source.lines.linePos(problem.offset ?? locate(source, problem.path));
  return new AppShotError('BAD_CONFIG', {
    file: source.file,
    line: Math.max(1, position.line),
    column: Math.max(1, position.col),
    field: problem.path.map(String).join('.') || 'the file',
    reason: problem.message,
  });
};

/** Reads the whole file; the values' offsets are noted in `source`. */
export const readValues = (source: Source, environment: Environment): unknown => {
  if (Buffer.byteLength(source.text) > MAX_BYTES)
    throw new Problem([], `it is larger than ${MAX_BYTES} bytes`);
  const document = parseDocument(source);
  return new Reader(source, environment).read(document.contents, [], 0);
};

/** The package reports that its own recursion went too deep as a flaw of the text. */
const tell = ({ message }: YAMLError): string =>
  message.includes('call stack') ? 'it is nested too deeply' : message.split('\n', 1)[0] || 'it is not YAML';

const parseDocument = (source: Source): Document.Parsed => {
  // The package's own check for duplicate keys takes quadratic time: the reader below does it.
  const options = { lineCounter: source.lines, schema: 'failsafe', prettyErrors: false } as const;
  const documents = parseAllDocuments(source.text, { ...options, uniqueKeys: false, logLevel: 'silent' });
  if ('empty' in documents) throw new Problem([], 'it is empty; a name and processes are needed');
  for (const document of documents) {
    const [flaw] = [...document.errors, ...document.warnings];
    if (flaw !== undefined) throw new Problem([], tell(flaw), flaw.pos[0]);
  }
  const [first, second] = documents;
  if (first === undefined || second !== undefined) {
    const offset = second?.contents?.range[0] ?? second?.range[0];
    throw new Problem(
      [],
      'a file describes one application; put a second document in a file of its own',
      offset,
    );
  }
  return first;
};

type Node = ParsedNode | null;
type Values = Record<string, unknown>;

/** Walks the tree once: aliases followed, `<<` merged, variables filled in, duplicate keys refused. */
class Reader {
  readonly #source: Source;
  readonly #environment: Environment;
  readonly #anchors = new Map<string, Node>();
  #count = 0;

  constructor(source: Source, environment: Environment) {
    this.#source = source;
    this.#environment = environment;
  }

  read(node: Node, path: Path, depth: number): unknown {
    if (++this.#count > MAX_VALUES) throw new Problem(path, `there are more than ${MAX_VALUES} values`);
    if (depth > MAX_DEPTH) throw new Problem(path, 'it is nested too deeply');
    if (node === null) return null;
    if (isAlias(node)) return this.read(this.#follow(node, path), path, depth + 1);
    if (node.anchor !== undefined) this.#anchors.set(node.anchor, node);
    if (isMap(node)) return this.#readMap(node, path, depth);
    if (isSeq(node)) return this.#readList(node, path, depth);
    return this.#readScalar(node, path);
  }

  #follow(alias: Alias.Parsed, path: Path): Node {
    const node = this.#anchors.get(alias.source);
    if (node === undefined)
      throw new Problem(path, `nothing before it is marked &${alias.source}`, alias.range[0]);
    return node;
  }

  #readScalar(scalar: Scalar.Parsed, path: Path): unknown {
    if (typeof scalar.value !== 'string') return null;
    if (scalar.type === 'PLAIN' && NOTHING.test(scalar.source)) return null;
    try {
      return interpolate(scalar.value, this.#environment);
    } catch (error) {
      throw new Problem(path, (error as Error).message, scalar.range[0]);
    }
  }

  #readList(list: YAMLSeq.Parsed, path: Path, depth: number): unknown[] {
    return list.items.map((item, index) => {
      const itemPath = [...path, index];
      this.#note(itemPath, item.range[0]);
      return this.read(item, itemPath, depth + 1);
    });
  }

  #readMap(map: YAMLMap.Parsed, path: Path, depth: number): Values {
    const own = new Map<string, unknown>();
    for (const { key, value } of map.items) {
      const name = readKey(key, path);
      const keyPath = [...path, name];
      if (own.has(name)) throw new Problem(keyPath, 'the key is there twice', key.range[0]);
      this.#note(keyPath, key.range[0]);
      own.set(name, this.read(value, keyPath, depth + 1));
    }
    const merged = own.has('<<') ? toMerge(own.get('<<'), [...path, '<<']) : [];
    own.delete('<<');
    return Object.fromEntries([...merged.toReversed().flatMap((values) => Object.entries(values)), ...own]);
  }

  #note(path: Path, offset: number): void {
    const key = toKey(path);
    if (!this.#source.offsets.has(key)) this.#source.offsets.set(key, offset);
  }
}

const readKey = (key: ParsedNode, path: Path): string => {
  if (isScalar(key) && typeof key.value === 'string') return key.value;
  throw new Problem(path, 'a key must be a word', key.range[0]);
};

const isValues = (value: unknown): value is Values =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** What `<<` takes in: one mapping or a list of them, of which the first counts most. */
const toMerge = (value: unknown, path: Path): Values[] => {
  const list = Array.isArray(value) ? (value as unknown[]) : [value];
  if (list.every(isValues)) return list;
  throw new Problem(path, 'only mappings can be merged');
};
