/**
 * Reads Python bytes literals: the form in which protoc's Python modules hold a schema,
 * `AddSerializedFile(b'\n\x0b...')`. Rules: "String and Bytes literals" in Python's language reference, for one
 * literal on one line without a raw prefix, which is all that protoc writes.
 */
const SIMPLE: Readonly<Record<string, number>> = {
  '\\': 0x5c,
  "'": 0x27,
  '"': 0x22,
  a: 0x07,
  b: 0x08,
  f: 0x0c,
  n: 0x0a,
  r: 0x0d,
  t: 0x09,
  v: 0x0b,
};

/** One escape sequence at the start of the text: `\x` and two hexadecimal digits, up to three octal ones, or a letter. */
const ESCAPE = /\\(?:x([0-9a-fA-F]{2})|([0-7]{1,3})|(.))/sy;

const readEscape = (source: string, at: number): { byte: number; end: number } => {
  ESCAPE.lastIndex = at;
  const match = ESCAPE.exec(source);
  const [whole, hexadecimal, octal, letter] = match ?? [];
  const end = at + (whole?.length ?? 0);
  if (hexadecimal !== undefined) return { byte: Number.parseInt(hexadecimal, 16), end };
  if (octal !== undefined) return { byte: Number.parseInt(octal, 8) & 0xff, end };
  const byte = letter === undefined ? undefined : SIMPLE[letter];
  if (byte === undefined)
    throw new SyntaxError(`unknown escape at offset ${at}: ${source.slice(at, at + 4)}`);
  return { byte, end };
};

/**
 * The bytes of the literal whose `b` is at offset `at` of the Python source.
 * Throws a SyntaxError when there is none, it does not end, or holds what a bytes literal may not.
 */
export const readBytesLiteral = (source: string, at: number): Uint8Array => {
  const quote = source[at + 1];
  if (source[at] !== 'b' || (quote !== "'" && quote !== '"')) {
    throw new SyntaxError(`no bytes literal at offset ${at}`);
  }
  const bytes: number[] = [];
  let i = at + 2;
  while (source[i] !== quote) {
    const code = source.charCodeAt(i);
    if (Number.isNaN(code) || code === 0x0a)
      throw new SyntaxError(`the bytes literal at offset ${at} does not end`);
    if (code > 0x7f) throw new SyntaxError(`a bytes literal may only hold ASCII: offset ${i}`);
    if (code === 0x5c) {
      const { byte, end } = readEscape(source, i);
      bytes.push(byte);
      i = end;
    } else {
      bytes.push(code);
      i++;
    }
  }
  return Uint8Array.from(bytes);
};
