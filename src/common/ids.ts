/**
 * ULIDs: 26 characters that sort by the time they were made. 48 bits of milliseconds, 80 of randomness; within a millisecond, or when
 * the clock steps back, the next is the last plus one, so that the IDs of one process never go down.
 */
import { randomBytes } from 'node:crypto';

/** Crockford's base 32: without I, L, O and U. */
const ALPHABET = '0123456789ABCDEFGHJKMNPQRSTVWXYZ';
const LENGTH = 26;

let last = 0n;

const fresh = (): bigint => (BigInt(Date.now()) << 80n) | BigInt(`0x${randomBytes(10).toString('hex')}`);

const encode = (value: bigint): string =>
  value
    .toString(32)
    .padStart(LENGTH, '0')
    .replace(/./g, (digit) => ALPHABET[Number.parseInt(digit, 32)] ?? '');

/** A new ID, greater than every one this process made before. */
export const newId = (): string => {
  const next = fresh();
  const lastTime = last >> 80n;
  last = next >> 80n > lastTime ? next : last + 1n;
  return encode(last);
};
