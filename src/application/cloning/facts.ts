/** What a snapshot says of being a template, read once for each. */
import { TemplateFacts } from '../../templates/index.ts';
import type { RuleSet } from '../../templates/index.ts';
import { corrupt } from '../../snapshots/index.ts';
import type { Manifest } from '../../snapshots/index.ts';
import { readRules } from './evaluate.ts';

export interface KnownTemplate {
  readonly facts: TemplateFacts;
  readonly rules: RuleSet;
}

/** By the manifest, which the store keeps in mind: reading a table of resources takes longer than making a clone. */
const known = new WeakMap<Manifest, KnownTemplate>();

/** Undefined for a snapshot that is none. Fails with `SNAPSHOT_CORRUPT` and `BAD_RULES`. */
export const templateIn = (manifest: Manifest): KnownTemplate | undefined => {
  if (manifest.template === undefined) return undefined;
  const found = known.get(manifest);
  if (found) return found;
  const parsed = TemplateFacts.safeParse(manifest.template);
  if (!parsed.success) {
    const { path, message } = parsed.error.issues[0] ?? { path: [], message: 'it is not valid' };
    throw corrupt(manifest.id, 'manifest.json', `template.${path.join('.')}: ${message}`);
  }
  const facts = parsed.data;
  const read = { facts, rules: readRules(facts.rules, facts.links) };
  known.set(manifest, read);
  return read;
};
