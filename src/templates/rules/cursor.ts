/** Takes the tokens of one line in turn; whatever else stands there fails with what was expected, and what was probably meant. */
import { findNearest } from '../../common/index.ts';
import { badRules, show } from './place.ts';
import type { Place } from './place.ts';
import type { Token } from './tokens.ts';

const describe = ({ kind, text }: Token): string => {
  if (kind === 'variable') return `<${show(text)}>`;
  return kind === 'string' ? `"${show(text)}"` : `'${show(text)}'`;
};

const END: Place = { file: '', line: 1, column: 1 };

export class Cursor {
  readonly #tokens: readonly Token[];
  #next = 0;

  /** @param tokens as `tokenize` returns them: the last is of kind `end` */
  constructor(tokens: readonly Token[]) {
    this.#tokens = tokens;
  }

  get #token(): Token {
    return this.#tokens[this.#next] ?? { kind: 'end', text: '', place: END };
  }

  get place(): Place {
    return this.#token.place;
  }

  get isAtEnd(): boolean {
    return this.#token.kind === 'end';
  }

  #refuse(expected: string, meant?: string): Error {
    const token = this.#token;
    if (token.kind === 'end') return badRules(token.place, `the line ends, but ${expected} must follow`);
    const advice = meant === undefined ? `${expected} must stand there` : `did you mean ${meant}?`;
    return badRules(token.place, `${describe(token)} has no meaning here; ${advice}`);
  }

  #take(kind: Token['kind'], expected: string): Token {
    const token = this.#token;
    if (token.kind !== kind) throw this.#refuse(expected);
    this.#next++;
    return token;
  }

  /** One of these words, in whatever case; as it stands in the list. */
  keyword<K extends string>(...known: readonly K[]): K {
    const { kind, text } = this.#token;
    const found = known.find((word) => kind === 'word' && word.toLowerCase() === text.toLowerCase());
    if (found === undefined) {
      const meant = kind === 'word' ? findNearest(text, known) : undefined;
      throw this.#refuse(known.length > 2 ? `one of ${known.join(', ')}` : known.join(' or '), meant);
    }
    this.#next++;
    return found;
  }

  word(what: string): Token {
    return this.#take('word', what);
  }

  variable(): Token {
    return this.#take('variable', 'a variable such as <APPL-ID>');
  }

  string(what: string): Token {
    const { kind, text } = this.#token;
    const isBare = kind === 'word' && !/^(as|for|to|within)$/i.test(text);
    if (isBare) throw badRules(this.place, `'${show(text)}' stands without quotes; ${what} is written "..."`);
    return this.#take('string', `${what} in quotes`);
  }

  /** A string, when one is next, or what was surely meant as one. */
  optionalString(what: string): Token | undefined {
    const { kind, text } = this.#token;
    return kind === 'string' || (kind === 'word' && /^[/*]/.test(text)) ? this.string(what) : undefined;
  }

  equals(): void {
    this.#take('equals', '=');
  }

  end(): void {
    if (!this.isAtEnd)
      throw badRules(this.place, `${describe(this.#token)} has no meaning here; the rule ends before it`);
  }
}
