/**
 * Text that comes from applications (names, command lines, output) is hostile to a terminal: escape sequences move the cursor,
 * set titles or answer back, and directional marks reorder what is read. It is made visible instead.
 */

// C0 and C1 controls, DEL, line and paragraph separators, directional marks, the byte order mark, lone surrogates.
const HOSTILE = /[\p{Cc}\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]|\p{Cs}/gu;

const escape = (character: string): string => {
  const code = character.codePointAt(0) ?? 0;
  if (character === '\n') return String.raw`\n`;
  if (character === '\t') return String.raw`\t`;
  if (character === '\r') return String.raw`\r`;
  if (code < 0x100) return String.raw`\x` + code.toString(16).padStart(2, '0');
  return String.raw`\u` + code.toString(16).padStart(4, '0');
};

/** For a name or a command line: the result is one line, without control characters. */
export const sanitiseLine = (text: string): string => text.replace(HOSTILE, escape);

/** For output of several lines: line feeds and tabs stay, and a carriage return before a line feed goes. */
export const sanitiseText = (text: string): string =>
  text
    .replace(/\r\n/g, '\n')
    .replace(HOSTILE, (character) =>
      character === '\n' || character === '\t' ? character : escape(character),
    );
