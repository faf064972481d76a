/** The links of `--link` and of `appshot.yaml` as rules, so that they are checked and resolved with the others. */
import type { LinkSpec } from '../../api/index.ts';
import { checkSource } from '../places.ts';
import { shift } from './place.ts';
import { joinRules } from './rule-set.ts';
import type { Link, RuleSet } from './rule-set.ts';
import { parseText, PREDEFINED } from './text.ts';

const toLink = ({ path, target }: LinkSpec, file: string, index: number): Link => {
  checkSource(path, 'the path of a link');
  const text = `${path}=${target}`;
  const place = { file, line: index + 1, column: 1 };
  const start = shift(place, path.length + 1);
  return { ...place, text, path, target: parseText(target, start, PREDEFINED) };
};

/**
 * Links as a rule set, whose lines are their numbers from 1; messages call it `file`.
 *
 * @throws AppShotError LINK_OUTSIDE: a path cannot become a link; BAD_RULES: a target cannot be read
 */
export const parseLinks = (links: readonly LinkSpec[], file: string): RuleSet => ({
  ...joinRules([]),
  files: [file],
  links: links.map((link, index) => toLink(link, file, index)),
});
