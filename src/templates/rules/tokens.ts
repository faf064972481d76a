/** One line of rules as words, <VARIABLES>, "strings" and the equals sign. */
import { badRules, shift } from './place.ts';
import type { Place } from './place.ts';

export interface Token {
  readonly kind: 'word' | 'variable' | 'string' | 'equals' | 'end';
  /** As it is written, a string and a variable without what encloses them. */
  readonly text: string;
  /** Where `text` begins. */
  readonly place: Place;
}

/** Straight quotes close straight ones; typographic ones, as the document prints them, close each other. */
const TOKEN =
  /\s+|#.*|"(?<straight>[^"\\]*(?:\\.[^"\\]*)*)"|[“”„](?<curly>[^“”\\]*(?:\\.[^“”\\]*)*)[“”]|<(?<variable>[^<>"\s]*)>|(?<equals>=)|(?<word>[^\s"“”„<>=#]+)/gsy;

/** No rule has so many tokens: nobody reads what stands behind. */
const LONGEST = 16;

const explain = (rest: string): string => {
  if (/^["“”„]/.test(rest)) return 'the quote is not closed on its line';
  if (rest.startsWith('<')) return 'a variable is written <NAME>';
  return `'${rest.slice(0, 1)}' has no meaning here`;
};

const toToken = (match: RegExpExecArray, start: Place): Token | undefined => {
  const { straight, curly, variable, equals, word } = match.groups ?? {};
  const place = shift(start, match.index);
  const string = straight ?? curly;
  if (string !== undefined) return { kind: 'string', text: string, place: shift(place, 1) };
  if (variable !== undefined) return { kind: 'variable', text: variable, place: shift(place, 1) };
  if (equals !== undefined) return { kind: 'equals', text: equals, place };
  return word === undefined ? undefined : { kind: 'word', text: word, place };
};

/**
 * The tokens of a line that begins at `start`; behind the last one stands one of kind `end`, unless there are more than any rule has.
 *
 * @throws AppShotError BAD_RULES
 */
export const tokenize = (line: string, start: Place): Token[] => {
  const tokens: Token[] = [];
  let end = 0;
  for (const match of line.matchAll(TOKEN)) {
    const token = toToken(match, start);
    if (token !== undefined) tokens.push(token);
    if (tokens.length > LONGEST) return tokens;
    end = match.index + match[0].length;
  }
  if (end < line.length) throw badRules(shift(start, end), explain(line.slice(end)));
  return [...tokens, { kind: 'end', text: '', place: shift(start, end) }];
};
