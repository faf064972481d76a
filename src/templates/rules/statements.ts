/** One reader for each kind of rule; the table says what its line begins with. */
import { ACCESS_TYPES, RESOURCE_CLASSES, RESOURCE_TYPES } from '../../api/index.ts';
import type { AccessType, ResourceType } from '../../api/index.ts';
import { findFlawOfSource } from '../places.ts';
import { findFlawOfClass } from './classes.ts';
import type { Cursor } from './cursor.ts';
import { readAction } from './hooks.ts';
import { badRules } from './place.ts';
import type { Place } from './place.ts';
import type { Rule, RuleSet } from './rule-set.ts';
import { parsePlain, parseText, PREDEFINED, PROPERTIES } from './text.ts';
import type { Meaning, Meanings, Property, Text } from './text.ts';
import type { Token } from './tokens.ts';

const MAX_TARGET = 4095;

/** A rule set that is still being read, and the variables known so far. */
export type Draft = { -readonly [K in keyof RuleSet]: RuleSet[K][number][] };

export interface Context {
  readonly draft: Draft;
  readonly meanings: Map<string, Meaning>;
  /** The line. */
  readonly text: string;
}

/** Reads what stands behind the first word of a rule, and adds the rule to the draft. */
type Read = (cursor: Cursor, context: Context) => void;

const ruleAt = ({ file, line, column }: Place, { text }: Context): Rule => ({ text, file, line, column });

const readVariableName = (cursor: Cursor): Token => {
  const token = cursor.variable();
  if (/^[A-Za-z_][A-Za-z0-9_.-]{0,63}$/.test(token.text)) return token;
  throw badRules(token.place, 'name it with 1 to 64 letters, digits, _, . and -, beginning with a letter');
};

const readEnvironmentName = (cursor: Cursor, meanings: Meanings): Token => {
  const { place, ...token } = cursor.string('the name of the variable');
  const text = parsePlain(token.text, place, meanings, 'a variable has the same name in each clone');
  if (!/^[^=]+$/.test(text)) throw badRules(place, 'a variable has a name, without =');
  return { ...token, text, place };
};

const isSame = (one: Meaning, other: Meaning): boolean => one.kind === other.kind && one.name === other.name;

/** DEFINE <NAME> AS PROPERTY name | ENVIRONMENT "NAME" */
const define: Read = (cursor, context) => {
  const { text: name, place } = readVariableName(cursor);
  cursor.keyword('AS');
  const kind = cursor.keyword('PROPERTY', 'ENVIRONMENT');
  const meaning: Meaning =
    kind === 'PROPERTY'
      ? { kind: 'property', name: cursor.keyword(...(Object.keys(PROPERTIES) as Property[])) }
      : { kind: 'environment', name: readEnvironmentName(cursor, context.meanings).text };
  const predefined = PREDEFINED.get(name);
  if (predefined !== undefined && !isSame(predefined, meaning))
    throw badRules(place, `<${name}> is predefined as the ${predefined.name}; choose another name`);
  context.draft.definitions.push({ ...ruleAt(place, context), name, meaning });
  context.meanings.set(name, meaning);
};

/** PATH "from" TO "to": the same behind REDIR and LINK. */
const readPaths = (
  cursor: Cursor,
  { meanings }: Context,
): { readonly path: string; readonly place: Place; readonly target: Text } => {
  cursor.keyword('PATH');
  const { text, place } = cursor.string('the path');
  const path = parsePlain(
    text,
    place,
    meanings,
    'the path is the same in each clone; variables stand behind TO',
  );
  const flaw = findFlawOfSource(path);
  if (flaw !== undefined) throw badRules(place, flaw);
  cursor.keyword('TO');
  const target = cursor.string('the target');
  if (target.text.length > MAX_TARGET)
    throw badRules(target.place, `a target may have ${MAX_TARGET} characters at most`);
  return { path, place, target: parseText(target.text, target.place, meanings) };
};

const redirect: Read = (cursor, context) => {
  const { path: from, place, target: to } = readPaths(cursor, context);
  context.draft.redirects.push({ ...ruleAt(place, context), from, to });
};

const link: Read = (cursor, context) => {
  const { path, place, target } = readPaths(cursor, context);
  context.draft.links.push({ ...ruleAt(place, context), path, target });
};

/** SET ENV "NAME" = "value" */
const set: Read = (cursor, context) => {
  cursor.keyword('ENV');
  const { text: name, place } = readEnvironmentName(cursor, context.meanings);
  if (name === 'HOSTNAME' || name.startsWith('APPSHOT_'))
    throw badRules(place, `${name} follows the identity of each application and cannot be set`);
  cursor.equals();
  const value = cursor.string('the value');
  context.draft.variables.push({
    ...ruleAt(place, context),
    name,
    value: parseText(value.text, value.place, context.meanings),
  });
};

const PATHS: readonly ResourceType[] = ['file', 'directory'];

const readPattern = (cursor: Cursor, type: ResourceType, meanings: Meanings): string | null => {
  const token = cursor.optionalString('a pattern');
  if (token === undefined) return null;
  const pattern = parsePlain(
    token.text,
    token.place,
    meanings,
    'names are those in the template; no variables are filled in',
  );
  if (PATHS.includes(type) && !/^(\/|\*\*)/.test(pattern))
    throw badRules(token.place, 'a path begins with /; ** in front of it stands for any directory');
  if (pattern === '')
    throw badRules(token.place, 'an empty pattern fits nothing; leave it out for every name');
  return pattern;
};

const readAccess = (cursor: Cursor): AccessType => {
  if (cursor.keyword('FOR', 'AS') === 'AS') return 'any';
  const access = cursor.keyword(...ACCESS_TYPES);
  cursor.keyword('AS');
  return access;
};

/** CLASSIFY type ["pattern"] [FOR access] AS class */
const classify: Read = (cursor, context) => {
  const subject = cursor.place;
  const type = cursor.keyword(...RESOURCE_TYPES);
  const pattern = readPattern(cursor, type, context.meanings);
  const access = readAccess(cursor);
  const { place } = cursor;
  const chosen = cursor.keyword(...RESOURCE_CLASSES);
  const flaw = findFlawOfClass(type, chosen);
  if (flaw !== undefined) throw badRules(place, flaw);
  if (type === 'memory' && chosen === 'duplicate' && pattern !== null)
    throw badRules(subject, 'memory is duplicated as a whole: leave out the pattern');
  context.draft.classifications.push({
    ...ruleAt(subject, context),
    type,
    pattern,
    access,
    class: chosen,
  });
};

/** ON CLONE action [WITHIN duration] */
const on: Read = (cursor, context) => {
  cursor.keyword('CLONE');
  const { place } = cursor;
  context.draft.hooks.push({ ...ruleAt(place, context), ...readAction(cursor, context.meanings) });
};

const READERS = {
  DEFINE: define,
  REDIR: redirect,
  LINK: link,
  SET: set,
  CLASSIFY: classify,
  ON: on,
} as const;

/** Reads the rule of one line into the draft. */
export const readRule = (cursor: Cursor, context: Context): void => {
  const keyword = cursor.keyword(...(Object.keys(READERS) as (keyof typeof READERS)[]));
  READERS[keyword](cursor, context);
  cursor.end();
};
