/**
 * What becomes of everything that an application holds when a clone of it is made: the table of a template (figures 7 and 8).
 *
 * The tables find resources with their traits. A rule decides about a resource; without one the standard criteria do. Pure.
 */
import { RESOURCE_TYPES } from '../../api/index.ts';
import type { ResourceClass, TemplateResource } from '../../api/index.ts';
import { channels } from './channels.ts';
import { standardClasses } from './criteria.ts';
import { files } from './files.ts';
import type { Classification, ClassifyInput, Found } from './found.ts';
import { compilePattern } from './glob.ts';
import { identity } from './identity.ts';
import { memory } from './memory.ts';
import { sockets } from './sockets.ts';

const NOTHING = {
  shared: false,
  modifiable: false,
  large: false,
  systemUnique: false,
  exported: false,
  networkUnique: false,
};

/** A resource with the rule of `CLASSIFY` about it and the marks that it has without that rule. */
export interface Judged {
  readonly found: Found;
  readonly standard: readonly ResourceClass[];
  readonly override: Classification | undefined;
}

/** What a rule is about, ready to be asked of many resources. */
const testOf = ({ type, pattern, access }: Classification): ((found: Found) => boolean) => {
  const matches = pattern === null ? () => true : compilePattern(pattern);
  return (found) =>
    type === found.type && (access === 'any' || found.access.includes(access)) && matches(found.name);
};

/** Everything that the application holds. Of several rules about a resource the last one counts. */
export const judge = (input: ClassifyInput): Judged[] => {
  const rules = input.rules.classifications.map((rule) => ({ rule, isAbout: testOf(rule) }));
  const all = [
    ...identity(input),
    ...memory(input.summary),
    ...files(input),
    ...channels(input),
    ...sockets(input),
  ];
  return all.map((found) => ({
    found,
    standard: standardClasses({ ...NOTHING, ...found.traits }),
    override: rules.findLast(({ isAbout }) => isAbout(found))?.rule,
  }));
};

const bytes = (text: string): number => Buffer.byteLength(text);

const recordOf = ({ found, standard, override }: Judged): TemplateResource => {
  const { type, name, data, action } = found;
  const rule = override ?? found.rule;
  return {
    nameSize: bytes(name),
    descriptorSize: bytes(JSON.stringify(data)),
    type,
    name,
    data,
    classes: override ? [override.class] : [...standard],
    action,
    rule: rule ? { text: rule.text, file: rule.file, line: rule.line } : null,
  };
};

const ranks = new Map(RESOURCE_TYPES.map((type, rank) => [type, rank]));
const rank = ({ type }: TemplateResource): number => ranks.get(type) ?? 0;

const byText = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

/** The table of a template: types in the order of `RESOURCE_TYPES`, then names by their characters. */
export const classifyResources = (input: ClassifyInput): TemplateResource[] =>
  judge(input)
    .map(recordOf)
    .toSorted(
      (a, b) =>
        rank(a) - rank(b) || byText(a.name, b.name) || byText(JSON.stringify(a.data), JSON.stringify(b.data)),
    );
