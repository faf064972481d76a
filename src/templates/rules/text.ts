/**
 * Texts with variables, such as `/usr/app/<APPL-ID>/config`: what each variable means is settled when the text is read, and its value
 * when the text is evaluated for one instance.
 *
 * Within a text `\<` is the sign itself, `\"` a quote and `\\` a backslash.
 */
import { findNearest } from '../../common/index.ts';
import type { Instance } from './instance.ts';
import { badRules, shift, show } from './place.ts';
import type { Place } from './place.ts';

/** Names of properties in DEFINE, and where each is found. */
export const PROPERTIES = {
  'application-ID': 'aid',
  name: 'name',
  'host-name': 'hostname',
  address: 'address',
  'instance-number': 'instance',
  node: 'node',
  template: 'template',
} as const satisfies Record<string, keyof Instance>;
export type Property = keyof typeof PROPERTIES;

/** What a variable stands for: a property of the instance, or a variable of its environment. */
export type Meaning =
  | { readonly kind: 'property'; readonly name: Property }
  | { readonly kind: 'environment'; readonly name: string };

export interface Variable extends Place {
  readonly name: string;
  readonly meaning: Meaning;
}

export interface Text {
  readonly parts: readonly (string | Variable)[];
}

/** Variables by name: the predefined ones, and those that DEFINE adds. */
export type Meanings = ReadonlyMap<string, Meaning>;

const property = (name: Property): Meaning => ({ kind: 'property', name });

export const PREDEFINED: Meanings = new Map([
  ['AID', property('application-ID')],
  ['NAME', property('name')],
  ['HOSTNAME', property('host-name')],
  ['ADDRESS', property('address')],
  ['INSTANCE', property('instance-number')],
  ['NODE', property('node')],
  ['TEMPLATE', property('template')],
]);

const PIECE = /\\(?<escaped>["\\<])|<(?<name>[^<>"\s]*)>|(?<lone><)|[^\\<\0]+/gsy;

interface Piece {
  /** The characters that it stands for, unless it is a variable. */
  readonly plain: string;
  /** The name of a variable. */
  readonly name: string | undefined;
  readonly isLone: boolean;
  readonly place: Place;
}

/** The pieces of what stands between quotes, escapes undone. */
const split = (source: string, place: Place): Piece[] => {
  const pieces: Piece[] = [];
  let end = 0;
  for (const { 0: piece, index, groups = {} } of source.matchAll(PIECE)) {
    end = index + piece.length;
    const { escaped, name, lone } = groups;
    pieces.push({ plain: escaped ?? piece, name, isLone: lone !== undefined, place: shift(place, index) });
  }
  if (end === source.length) return pieces;
  const reason =
    source[end] === '\0'
      ? 'a zero byte cannot be passed'
      : String.raw`a lone backslash has no meaning: write \\ for one`;
  throw badRules(shift(place, end), reason);
};

/** What a name stands for, or undefined. */
const lookUp = (name: string, meanings: Meanings): Meaning | undefined => {
  const [, variable] = /^ENV:([^=]+)$/.exec(name) ?? [];
  return variable === undefined ? meanings.get(name) : { kind: 'environment', name: variable };
};

const explainUnknown = (name: string, meanings: Meanings): string => {
  const meant = findNearest(name, [...meanings.keys()]);
  const advice =
    meant === undefined
      ? `DEFINE it, or use <${[...PREDEFINED.keys()].join('>, <')}> or <ENV:NAME>`
      : `did you mean <${meant}>?`;
  return `the variable <${show(name)}> is not defined above; ${advice}`;
};

const toPart = ({ plain, name, isLone, place }: Piece, meanings: Meanings): string | Variable => {
  if (isLone) throw badRules(place, String.raw`a variable is written <NAME>; write \< for the sign itself`);
  if (name === undefined) return plain;
  const meaning = lookUp(name, meanings);
  if (meaning === undefined) throw badRules(place, explainUnknown(name, meanings));
  return { ...place, name, meaning };
};

/**
 * A text that begins at `place`.
 *
 * @throws AppShotError BAD_RULES: a variable is not defined, or an escape has no meaning
 */
export const parseText = (source: string, place: Place, meanings: Meanings): Text => ({
  parts: split(source, place).map((piece) => toPart(piece, meanings)),
});

/**
 * A text that is the same for each instance, which `why` says if it holds a variable; any other `<` is the sign itself.
 *
 * @throws AppShotError BAD_RULES
 */
export const parsePlain = (source: string, place: Place, meanings: Meanings, why: string): string =>
  split(source, place)
    .map((piece) => {
      if (piece.name === undefined || lookUp(piece.name, meanings) === undefined) return piece.plain;
      throw badRules(piece.place, why);
    })
    .join('');

/** The text up to its first variable, and whether that is all of it. */
export const beginningOf = ({ parts }: Text): { readonly beginning: string; readonly isWhole: boolean } => {
  const first = parts.findIndex((part) => typeof part !== 'string');
  const plain = parts.slice(0, first === -1 ? parts.length : first);
  return { beginning: plain.map(String).join(''), isWhole: first === -1 };
};

type Environment = Readonly<Record<string, string>>;

const valueOf = (variable: Variable, instance: Instance, environment: Environment): string => {
  const { kind, name } = variable.meaning;
  if (kind === 'property') return String(instance[PROPERTIES[name]]);
  const value = Object.hasOwn(environment, name) ? environment[name] : undefined;
  if (value !== undefined) return value;
  throw badRules(variable, `the variable ${name} is not set in the environment of the application`);
};

/**
 * The text as one instance has it.
 *
 * @throws AppShotError BAD_RULES: a variable of the environment is not set
 */
export const evaluate = (text: Text, instance: Instance, environment: Environment): string =>
  text.parts.map((part) => (typeof part === 'string' ? part : valueOf(part, instance, environment))).join('');
