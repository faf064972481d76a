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
import { isOverriding, ruledAt } from './overrides.ts';
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

/** The rule about a resource. Among the application's own files those count that have been found to be about its path. */
const overrideOf = (
  found: Found,
  standard: readonly ResourceClass[],
  last: Classification | undefined,
  { ruled }: ClassifyInput,
): Classification | undefined => {
  if (!found.own || !ruled) return last;
  const path = ruledAt(ruled.paths, found.name);
  if (path) return { ...path.rule, class: path.class };
  // A file of the machine's, which such rules are not about.
  const isIdle = last && found.type !== 'shared-memory' && isOverriding(last.class);
  return isIdle && !standard.includes(last.class) ? undefined : last;
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
  return all.map((found) => {
    const standard = standardClasses({ ...NOTHING, ...found.traits });
    const last = rules.findLast(({ isAbout }) => isAbout(found))?.rule;
    return { found, standard, override: overrideOf(found, standard, last, input) };
  });
};

const bytes = (text: string): number => Buffer.byteLength(text);

const ACTIONS: Partial<Record<ResourceClass, string>> = {
  virtualize: 'begins empty',
  duplicate: "copied into the clone's own layer when it is made",
  shared: "the template's copy, one for all its clones",
};

/** What happens to it in a clone, when a rule makes it something else than the standard criteria would. */
const actionOf = ({ found: { type, own, action }, override }: Judged): string => {
  if (!override) return action;
  if (type === 'memory' && override.class === 'duplicate') return 'copied: private from the start';
  return (own && ACTIONS[override.class]) || action;
};

const recordOf = (judged: Judged): TemplateResource => {
  const { found, standard, override } = judged;
  const { type, name, data } = found;
  const rule = override ?? found.rule;
  return {
    nameSize: bytes(name),
    descriptorSize: bytes(JSON.stringify(data)),
    type,
    name,
    data,
    classes: override ? [override.class] : [...standard],
    action: actionOf(judged),
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
