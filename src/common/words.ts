/** What splits off a program in a shell. There is no shell here, so such a word alone is surely a misunderstanding. */
const OPERATORS = new Set(['|', '||', '&', '&&', ';', '<', '>', '>>', '2>', '2>&1', '&>']);

const PIECE = /\s+|'([^']*)'|"((?:[^"\\]|\\[^])*)"|\\([^])|([^\s'"\\]+)/gy;

const unescape = (quoted: string): string =>
  quoted.replace(/\\(["\\$`\n])/g, (_, character: string) => character.replace('\n', ''));

/**
 * Splits a command line as a POSIX shell quotes it: '...', "..." and backslash; nothing is expanded.
 *
 * @throws Error with the reason, for an open quote, a lone backslash at the end, or a shell operator
 */
export const splitWords = (text: string): string[] => {
  const words: string[] = [];
  let word: string | undefined;
  let end = 0;
  for (const match of text.matchAll(PIECE)) {
    const [piece, single, double, escaped, plain] = match;
    end = match.index + piece.length;
    const part = single ?? (double === undefined ? undefined : unescape(double)) ?? escaped ?? plain;
    if (part !== undefined) {
      word = (word ?? '') + part;
    } else if (word !== undefined) {
      words.push(word);
      word = undefined;
    }
    if (plain !== undefined && isAlone(text, match.index, end) && OPERATORS.has(plain)) {
      throw new Error(`there is no shell, so '${plain}' has no meaning: run sh -c '...' for one`);
    }
  }
  if (end < text.length)
    throw new Error(text[end] === '\\' ? 'it ends with a backslash' : `the quote ${text[end]} is not closed`);
  return word === undefined ? words : [...words, word];
};

const isAlone = (text: string, start: number, end: number): boolean =>
  /^\s*$/.test(text[start - 1] ?? '') && /^\s*$/.test(text[end] ?? '');
