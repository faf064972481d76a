/** The small readers behind appshot.yaml: variables, command lines, suggestions. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { interpolate } from '../../src/api/config/interpolate.ts';
import { explainUnknownKey } from '../../src/api/config/suggest.ts';
import { splitWords } from '../../src/common/index.ts';

const environment = { A: 'a', EMPTY: '', B: 'b b' };

describe('interpolate', () => {
  it.each([
    ['plain', 'plain'],
    ['$A-${A}', 'a-a'],
    ['$$A $${A}', '$A ${A}'],
    ['${EMPTY}', ''],
    ['${NO:-d} ${EMPTY:-d} ${A:-d}', 'd d a'],
    ['${NO-d}${EMPTY-d}', 'd'],
    ['${NO:-${A}-${NO:-x}}', 'a-x'],
    ['${NO:-$$}', '$'],
    ['${A:+yes}${NO:+yes}${EMPTY:+yes}${EMPTY+set}', 'yesset'],
    ['${A:?needed}', 'a'],
  ])('%s is %s', (text, expected) => expect(interpolate(text, environment)).toBe(expected));

  it.each([
    ['$NO', 'the variable NO is not set; set it'],
    ['${NO}', 'the variable NO is not set; set it'],
    ['${toString}', 'the variable toString is not set'],
    ['${NO:?give a port}', 'the variable NO is not set: give a port'],
    ['${EMPTY:?}', 'the variable EMPTY is not set: it is required'],
    ['$', 'a lone $'],
    ['costs $5', 'a lone $'],
    ['${A', '${ is not closed'],
    ['${A!x}', '${A!x} is not a variable'],
    [`${'${NO:-'.repeat(30)}${'}'.repeat(30)}`, 'nested too deeply'],
  ])('%s is refused', (text, reason) => expect(() => interpolate(text, environment)).toThrow(reason));

  it('leaves any text alone whose dollar signs are doubled', () => {
    fc.assert(
      fc.property(fc.string(), (text) => {
        expect(interpolate(text.replaceAll('$', '$$$$'), {})).toBe(text);
      }),
    );
  });
});

describe('splitWords', () => {
  it.each([
    ['a b  c', ['a', 'b', 'c']],
    ['  a\tb\n', ['a', 'b']],
    [`'a b' "c d" e\\ f`, ['a b', 'c d', 'e f']],
    [`a'b'"c"d`, ['abcd']],
    [`'' ""`, ['', '']],
    [String.raw`"a\"b\\c\n"`, [String.raw`a"b\c\n`]],
    ['http://x/?a=1&b=2 *.js $HOME', ['http://x/?a=1&b=2', '*.js', '$HOME']],
    [`'&&' "|"`, ['&&', '|']],
    ['', []],
  ])('%j', (text, words) => expect(splitWords(text)).toEqual(words));

  it.each([
    [`'a`, "the quote ' is not closed"],
    ['"a', 'the quote " is not closed'],
    ['a\\', 'it ends with a backslash'],
    ['a | b', "there is no shell, so '|'"],
    ['a > f', "there is no shell, so '>'"],
  ])('refuses %j', (text, reason) => expect(() => splitWords(text)).toThrow(reason));

  it('gives back any words that were quoted', () => {
    fc.assert(
      fc.property(fc.array(fc.string({ unit: 'binary' })), (words) => {
        const quoted = words.map((word) => `'${word.replaceAll("'", `'\\''`)}'`).join(' ');
        expect(splitWords(quoted)).toEqual(words);
      }),
    );
  });
});

describe('explainUnknownKey', () => {
  const known = ['command', 'environment', 'user', 'working_dir'];
  it.each([
    ['enviroment', 'did you mean environment?'],
    ['comamnd', 'did you mean command?'],
    ['Command', 'did you mean command?'],
    ['workdir', 'did you mean working_dir?'],
    ['image', 'there is no image'],
    ['x', 'known are command, environment, user, working_dir'],
    ['toString', 'known are'],
  ])('%s', (key, expected) => expect(explainUnknownKey(key, known)).toContain(expected));
});
