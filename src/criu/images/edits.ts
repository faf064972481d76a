/** Changes to decoded images that make a dump restorable in another place than it was taken from. */
import { isIPv4 } from 'node:net';
import type { Fields } from '../schema.ts';
import { bytesIn, has, numberIn, numbers, part, parts, textIn } from './access.ts';
import { addressText, ipv4At, ipv4Word } from './addresses.ts';
import type { Image } from './codec.ts';
import { ImageError } from './error.ts';

/** `IPPROTO_TCP` and `TCP_CLOSE` of the kernel. */
const TCP = 6;
const CLOSED = 7;

/** `seccomp_mode` of CRIU's core.proto. */
const SECCOMP_FILTER = 2;

/**
 * Where each filter goes when some are removed. The filters of a thread are a chain: the thread names the oldest one, and
 * each names in `prev` the one that is installed after it. Source: `criu/seccomp.c`.
 */
class Chains {
  readonly #file: string;
  readonly #filters: readonly Fields[];
  readonly #places: readonly (number | undefined)[];

  constructor(file: string, filters: readonly Fields[], removed: ReadonlySet<number>) {
    this.#file = file;
    this.#filters = filters;
    let place = 0;
    this.#places = filters.map((_, index) => (removed.has(index) ? undefined : place++));
  }

  /** The new index of the first filter that stays, from `index` on; undefined when none does. */
  first(index: number): number | undefined {
    // A chain cannot have more links than there are filters, so what goes on longer goes in a circle.
    for (let at = index, links = 0; links < this.#filters.length; links += 1) {
      const filter = this.#filters[at];
      if (!filter) break;
      const place = this.#places[at];
      if (place !== undefined || !has(filter, 'prev')) return place;
      at = numberIn(filter, 'prev');
    }
    throw new ImageError(this.#file, `has no chain of filters that begins with number ${index}`);
  }
}

const rewire = (message: Fields, field: string, place: number | undefined): void => {
  if (place === undefined) delete message[field];
  else message[field] = place;
};

/** The threads of all tasks that are filtered. */
const filteredThreads = (cores: readonly Image[]): Fields[] =>
  cores
    .flatMap(({ entries }) => entries.map(({ message }) => part(message, 'threadCore')))
    .filter((thread) => thread !== undefined)
    .filter((thread) => numberIn(thread, 'seccompMode') === SECCOMP_FILTER);

/**
 * Removes the filter with exactly these bytes, an array of `struct sock_filter`, from every thread that has it; a thread
 * without another one is no longer filtered. `cores` are all of the dump's. Returns how many filters were removed. Throws
 * `ImageError` when the images' indices lead nowhere, and then nothing was changed.
 */
export const dropFilter = (seccomp: Image, cores: readonly Image[], filter: Uint8Array): number => {
  const [entry] = seccomp.entries;
  const filters = parts(entry?.message, 'seccompFilters');
  const removed = new Set(
    filters.flatMap((one, index) => (Buffer.compare(bytesIn(one, 'filter'), filter) === 0 ? [index] : [])),
  );
  if (!entry || removed.size === 0) return 0;
  const chains = new Chains(seccomp.name, filters, removed);
  const kept = filters.filter((_, index) => !removed.has(index));
  // All places are found before anything is changed, because finding one follows the links.
  const links = kept.map((one) => (has(one, 'prev') ? chains.first(numberIn(one, 'prev')) : undefined));
  const threads = filteredThreads(cores);
  const places = threads.map((thread) => chains.first(numberIn(thread, 'seccompFilter')));
  kept.forEach((one, index) => rewire(one, 'prev', links[index]));
  threads.forEach((thread, index) => {
    rewire(thread, 'seccompFilter', places[index]);
    if (places[index] === undefined) delete thread['seccompMode'];
  });
  entry.message['seccompFilters'] = kept;
  return removed.size;
};

const checked = (address: string): number => {
  if (!isIPv4(address)) throw new TypeError(`${address} is no IPv4 address`);
  return ipv4Word(address);
};

/**
 * Gives the application of a `files.img` another IPv4 address: its sockets' own addresses that are `from` become `to`, and so
 * does the other end of a connection to itself. Returns how many sockets were changed. The sockets' peers elsewhere know
 * nothing of it.
 */
export const moveAddress = (files: Image, from: string, to: string): number => {
  const [before, after] = [checked(from), checked(to)];
  const move = (words: number[]): boolean => {
    const at = ipv4At(words);
    if (at === undefined || words[at] !== before) return false;
    words[at] = after;
    return true;
  };
  const moved = files.entries.filter(({ message }) => {
    const socket = part(message, 'isk');
    return socket && [numbers(socket, 'srcAddr'), numbers(socket, 'dstAddr')].map(move).includes(true);
  });
  return moved.length;
};

/** What the kernel gives a pipe by itself: 16 pages. Source: pipe(7). */
const PIPE_SIZE = 65_536;

/**
 * Lets pipes of a `pipes-data.img` or `fifo-data.img` that have the usual size come back without being given it: a user with many
 * pipes gets smaller ones (`/proc/sys/fs/pipe-user-pages-soft`), and is refused who asks for more. Those that hold data keep theirs.
 * Returns how many there are.
 */
export const leavePipeSizes = (data: Image): number => {
  const usual = data.entries.filter(
    ({ message }) => numberIn(message, 'size') === PIPE_SIZE && numberIn(message, 'bytes') === 0,
  );
  for (const { message } of usual) delete message['size'];
  return usual.length;
};

/** Whether both ends of a connection are the application's own. */
const isInner = (socket: Fields): boolean => {
  const [local, remote] = ['srcAddr', 'dstAddr'].map((field) => addressText(numbers(socket, field)));
  return local === remote || remote?.startsWith('127.') === true || remote === '::1';
};

/**
 * Closes the TCP connections of a `files.img` with others: their sockets come back without ports, as after an end that came from the
 * other side. Connections of the application with itself stay open; returns how many of their ends there are.
 */
export const closeConnections = (files: Image): number => {
  let inner = 0;
  for (const { message } of files.entries) {
    const socket = part(message, 'isk');
    // As the engine tells a connection.
    if (!socket || numberIn(socket, 'proto') !== TCP || numberIn(socket, 'dstPort') === 0) continue;
    if (isInner(socket)) inner += 1;
    else Object.assign(socket, { state: CLOSED, srcPort: 0, dstPort: 0 });
  }
  return inner;
};

/**
 * Takes from a `files.img` what it says of the size of files for which `isShared` holds: others write to them while the application
 * sleeps. Returns how many entries were changed.
 */
export const forgetSizes = (files: Image, isShared: (path: string) => boolean): number => {
  const found = files.entries
    .map(({ message }) => part(message, 'reg'))
    .filter((file) => file !== undefined)
    .filter((file) => has(file, 'size') && isShared(textIn(file, 'name')));
  for (const file of found) delete file['size'];
  return found.length;
};
