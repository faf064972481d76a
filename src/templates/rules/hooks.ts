/** `ON CLONE RUN|SIGNAL|REQUEST ...`: what is done inside a clone before its first packet. */
import { constants } from 'node:os';
import { Name } from '../../api/index.ts';
import { findNearest, parseDuration, splitWords } from '../../common/index.ts';
import type { Cursor } from './cursor.ts';
import { badRules, show } from './place.ts';
import type { Place } from './place.ts';
import type { Action } from './rule-set.ts';
import { parsePlain } from './text.ts';
import type { Meanings } from './text.ts';

const DEFAULT_MS = 10_000;
const MAX_MS = 600_000;
const SIGNALS = Object.keys(constants.signals).map((name) => name.slice(3));
/** No program can have a handler for these. */
const UNCATCHABLE = ['KILL', 'STOP'];

const WHY_PLAIN =
  'variables are not filled in here; the program finds them in its environment and in /.appshot/identity.json';

/** What `read` makes of something; the reason why it cannot becomes the rule's. */
const readAt = <T>(place: Place, read: () => T): T => {
  try {
    return read();
  } catch (error) {
    throw badRules(place, (error as Error).message);
  }
};

const readWithin = (cursor: Cursor): number => {
  const { text, place } = cursor.word('a duration such as 5s');
  const ms = Math.round(readAt(place, () => parseDuration(text)) * 1000);
  if (ms < 1 || ms > MAX_MS) throw badRules(place, 'give 1ms at least and 10m at most');
  return ms;
};

/** The end of every hook. */
const readTail = (cursor: Cursor): number => {
  if (cursor.isAtEnd) return DEFAULT_MS;
  cursor.keyword('WITHIN');
  return readWithin(cursor);
};

const readCommand = (cursor: Cursor, meanings: Meanings): Action => {
  const { text, place } = cursor.string('the command');
  const line = parsePlain(text, place, meanings, WHY_PLAIN);
  const command = readAt(place, () => splitWords(line));
  if (command.length === 0) throw badRules(place, 'name a command');
  return { kind: 'command', command, withinMs: readTail(cursor) };
};

const readSignalName = (cursor: Cursor): string => {
  const { text, place } = cursor.word('the name of a signal');
  const signal = text.toUpperCase().replace(/^SIG/, '');
  if (UNCATCHABLE.includes(signal)) throw badRules(place, `no program can handle ${signal}`);
  if (SIGNALS.includes(signal)) return signal;
  const meant = findNearest(signal, SIGNALS);
  const advice = meant === undefined ? 'such as HUP or USR2' : `did you mean ${meant}?`;
  throw badRules(place, `'${show(text)}' is not the name of a signal; ${advice}`);
};

const readProcess = (cursor: Cursor, meanings: Meanings): string => {
  const { text, place } = cursor.string('the name of the process');
  const name = parsePlain(text, place, meanings, WHY_PLAIN);
  const flaw = Name.safeParse(name).error?.issues[0]?.message;
  if (flaw !== undefined) throw badRules(place, flaw);
  return name;
};

const readSignal = (cursor: Cursor, meanings: Meanings): Action => {
  const hook = { kind: 'signal', signal: readSignalName(cursor) } as const;
  if (cursor.isAtEnd) return { ...hook, process: null, withinMs: DEFAULT_MS };
  if (cursor.keyword('TO', 'WITHIN') === 'WITHIN')
    return { ...hook, process: null, withinMs: readWithin(cursor) };
  return { ...hook, process: readProcess(cursor, meanings), withinMs: readTail(cursor) };
};

const URL_FORM = /^http:\/\/(?<host>[^/?#:@\s]*)(?::(?<port>\d{1,5}))?(?<rest>[/?][^\s#]*)?$/i;

/** The address with 127.0.0.1 as its host: a request stays inside the clone. */
const readUrl = (text: string, place: Place): string => {
  const { host = '', port = '80', rest = '/' } = URL_FORM.exec(text)?.groups ?? {};
  if (/^https:/i.test(text)) throw badRules(place, 'write http: the request stays inside the clone');
  if (!URL_FORM.test(text)) throw badRules(place, 'write it like http://127.0.0.1:8080/cloned');
  if (!['', 'localhost', '127.0.0.1'].includes(host.toLowerCase()))
    throw badRules(place, 'the host must be 127.0.0.1 or localhost: the request stays inside the clone');
  if (Number(port) < 1 || Number(port) > 65535) throw badRules(place, 'a port is a number from 1 to 65535');
  return readAt(place, () => new URL(rest.replace(/^\?/, '/?'), `http://127.0.0.1:${port}`).href);
};

const readRequest = (cursor: Cursor, meanings: Meanings): Action => {
  const { text, place } = cursor.string('the URL');
  const url = readUrl(parsePlain(text, place, meanings, WHY_PLAIN), place);
  return { kind: 'request', url, withinMs: readTail(cursor) };
};

/** What follows `ON CLONE`. */
export const readAction = (cursor: Cursor, meanings: Meanings): Action => {
  const kind = cursor.keyword('RUN', 'SIGNAL', 'REQUEST');
  if (kind === 'RUN') return readCommand(cursor, meanings);
  return kind === 'SIGNAL' ? readSignal(cursor, meanings) : readRequest(cursor, meanings);
};
