/** Texts of rules, one rule a line (docs/rules.md). Each text is complete by itself: it defines the variables that it uses. */
import { checkRules } from './check.ts';
import { Cursor } from './cursor.ts';
import { badRules } from './place.ts';
import type { RuleSet } from './rule-set.ts';
import { readRule } from './statements.ts';
import type { Draft } from './statements.ts';
import { PREDEFINED } from './text.ts';
import { tokenize } from './tokens.ts';

const MAX_BYTES = 1 << 20;
const MAX_RULES = 4096;

const createDraft = (file: string): Draft => ({
  files: [file],
  definitions: [],
  redirects: [],
  links: [],
  variables: [],
  classifications: [],
  hooks: [],
});

/**
 * The rules of a text, which messages call `file`.
 *
 * @throws AppShotError BAD_RULES with line and column, for what cannot be read, does not make sense or contradicts what stands above
 */
export const parseRules = (text: string, file: string): RuleSet => {
  if (Buffer.byteLength(text) > MAX_BYTES)
    throw badRules({ file, line: 1, column: 1 }, 'rules may have 1 MiB at most');
  const draft = createDraft(file);
  const meanings = new Map(PREDEFINED);
  let count = 0;
  for (const [index, line] of text.split(/\r?\n/).entries()) {
    const cursor = new Cursor(tokenize(line, { file, line: index + 1, column: 1 }));
    if (cursor.isAtEnd) continue;
    if (++count > MAX_RULES) throw badRules(cursor.place, `there may be ${MAX_RULES} rules at most`);
    readRule(cursor, { draft, meanings, text: line.trim() });
  }
  checkRules(draft);
  return draft;
};
