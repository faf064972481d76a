/**
 * Names of files as text. To the kernel they are bytes; those that are UTF-8 stay readable, and of one that is not each byte above 0x7f
 * becomes a lone surrogate (U+DC80 to U+DCFF), which no text holds. So every name has exactly one spelling.
 */
import { isUtf8 } from 'node:buffer';

const ESCAPE = 0xdc00;
const ESCAPED = /^[\0-\u007f\udc80-\udcff]+$/;

export const textOf = (name: Buffer): string =>
  isUtf8(name)
    ? name.toString('utf8')
    : name
        .toString('latin1')
        .replace(/[\u0080-\u00ff]/g, (byte) => String.fromCharCode(ESCAPE + byte.charCodeAt(0)));

export const bytesOf = (text: string): Buffer =>
  text.isWellFormed()
    ? Buffer.from(text)
    : Buffer.from(text.split('').map((unit) => unit.charCodeAt(0) & 0xff));

/** Whether `textOf` gives this spelling for some bytes. */
export const isSpelling = (text: string): boolean =>
  text.isWellFormed() || (ESCAPED.test(text) && !isUtf8(bytesOf(text)));

/** A name in a directory that is open: what its path leads to by now does not matter. */
export const placeIn = (directory: number, name: string): string | Buffer =>
  name.isWellFormed()
    ? `/proc/self/fd/${directory}/${name}`
    : Buffer.concat([Buffer.from(`/proc/self/fd/${directory}/`), bytesOf(name)]);

export const openPlace = (directory: number): string => `/proc/self/fd/${directory}`;
