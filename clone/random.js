/**
 * Random numbers that differ between clones although their memory began equal.
 *
 * Math.random becomes a generator that looks at the generation before each number: xoshiro128++ (Blackman and Vigna), which passes the usual
 * test batteries, has a period of 2^128 - 1 and, like V8's own, is not for secrets. Node keeps random bytes in stock for crypto.randomUUID
 * (128 UUIDs, version 7 among them) and crypto.randomInt (1024 integers): in a clone the stock is used up before the first is given out.
 */
import crypto from 'node:crypto';
import { syncBuiltinESMExports } from 'node:module';
import { seed, stamp } from './cell.js';

const UUIDS_IN_STOCK = 128;
const INTEGERS_IN_STOCK = 1024;

/** Of the generator; an array, since it is faster than variables. */
const state = Int32Array.of(0, 0, 0, 1);
let seen = stamp();
let onNotice = () => undefined;

const originals = {
  randomUUID: crypto.randomUUID,
  randomUUIDv7: crypto.randomUUIDv7,
  randomInt: crypto.randomInt,
};

/** From the kernel by way of OpenSSL, and what AppShot put into the cell: either is enough. */
const reseedGenerator = () => {
  const own = seed();
  const fresh = crypto.randomFillSync(new Int32Array(state.length));
  state.set(fresh.map((word, at) => word ^ own[at] ^ own[at + 4]));
  if (state.every((word) => word === 0)) state[3] = 1;
};

/** Whatever is in stock, this many calls use it up, and begin another. */
const renewStocks = () => {
  for (let at = 0; at < UUIDS_IN_STOCK; at += 1) originals.randomUUID();
  for (let at = 0; at < INTEGERS_IN_STOCK; at += 1) originals.randomInt(256);
};

/** Gives this process new random streams at once, whether it is a clone or not. About 0.1 ms. */
export const reseed = () => {
  seen = stamp();
  reseedGenerator();
  renewStocks();
};

const check = () => {
  if (stamp() === seen) return;
  reseed();
  onNotice();
};

const next = () => {
  let [a, b, c, d] = [state[0], state[1], state[2], state[3]];
  const sum = (a + d) | 0;
  const word = (((sum << 7) | (sum >>> 25)) + a) | 0;
  const shifted = b << 9;
  c ^= a;
  d ^= b;
  b ^= c;
  a ^= d;
  state[0] = a;
  state[1] = b;
  state[2] = c ^ shifted;
  state[3] = (d << 11) | (d >>> 21);
  return word;
};

/** A multiple of 2^-53 from 0 to below 1, as Math.random gives. */
const random = () => {
  if (stamp() !== seen) check();
  return ((next() >>> 5) * 0x4000000 + (next() >>> 6)) * 2 ** -53;
};

const guarded = (call) =>
  function (...values) {
    check();
    return Reflect.apply(call, this, values);
  };

/** Calls `notice` when a random number is the first to see a clone. */
export const whenNoticed = (notice) => {
  onNotice = notice;
};

/** Replaces Math.random, and guards what has a stock, for this thread. More than one call does nothing more. */
export const reseedOnClone = () => {
  if (Math.random === random) return;
  reseed();
  Math.random = random;
  for (const [name, call] of Object.entries(originals)) if (call) crypto[name] = guarded(call);
  // Whoever has imported them by name before gets the new ones too.
  syncBuiltinESMExports();
  const web = globalThis.Crypto.prototype;
  // oxlint-disable-next-line typescript/unbound-method -- it is called as a method of whatever it was called on.
  web.randomUUID = guarded(web.randomUUID);
};
