/**
 * Patterns of names: `?` is one character and `*` any number of them, but neither is a slash; `**` is anything. Names that begin with a
 * dot are like others. Nothing is quoted. Takes time in proportion to pattern times name: a program may have written the pattern.
 */

type Token = string | { readonly repeats: boolean; readonly slash: boolean };

const tokensOf = (pattern: string): Token[] =>
  [...pattern.matchAll(/\*\*|\*|\?|[^]/gu)].map(([piece]) => {
    if (piece === '?') return { repeats: false, slash: false };
    return piece.startsWith('*') ? { repeats: true, slash: piece === '**' } : piece;
  });

const takes = (token: Token, character: string): boolean =>
  typeof token === 'string' ? token === character : token.slash || character !== '/';

const repeats = (token: Token | undefined): boolean => typeof token === 'object' && token.repeats;

/** All places in the pattern that are reached without a character more. */
const reach = (tokens: readonly Token[], places: Iterable<number>): Set<number> => {
  const reached = new Set<number>();
  for (let place of places) {
    while (!reached.has(place)) {
      reached.add(place);
      if (repeats(tokens[place])) place += 1;
    }
  }
  return reached;
};

/** A test of names against a pattern. */
export const compilePattern = (pattern: string): ((name: string) => boolean) => {
  const tokens = tokensOf(pattern);
  const start = reach(tokens, [0]);
  return (name) => {
    let places = start;
    for (const character of name) {
      if (places.size === 0) return false;
      const next = [...places].flatMap((place) => {
        const token = tokens[place];
        if (token === undefined || !takes(token, character)) return [];
        return [repeats(token) ? place : place + 1];
      });
      places = reach(tokens, next);
    }
    return places.has(tokens.length);
  };
};
