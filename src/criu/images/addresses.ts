/** Addresses of sockets as CRIU keeps them: 32-bit numbers that have the network's bytes in the order of this machine's memory. */
import { SocketAddress } from 'node:net';

/** What is before the last number of an IPv4 address that an IPv6 socket uses. */
const MAPPED = [0, 0, 0xffff0000];

const bytesOf = (words: readonly number[]): Buffer => {
  const bytes = Buffer.alloc(words.length * 4);
  words.forEach((word, index) => bytes.writeUInt32LE(word, index * 4));
  return bytes;
};

/** The one number of an IPv4 address such as `10.10.0.2`. */
export const ipv4Word = (address: string): number =>
  Buffer.from(address.split('.').map(Number)).readUInt32LE(0);

/** Where in the numbers of a socket's address its IPv4 address is; undefined when it is another one. */
export const ipv4At = (words: readonly number[]): number | undefined => {
  if (words.length === 1) return 0;
  return words.length === 4 && MAPPED.every((word, index) => words[index] === word) ? 3 : undefined;
};

/** The address as text; an IPv4 address that an IPv6 socket uses is that address. */
export const addressText = (words: readonly number[]): string => {
  const at = ipv4At(words);
  if (at !== undefined) return bytesOf(words.slice(at)).join('.');
  if (words.length !== 4) return 'unknown';
  const groups = bytesOf(words).toString('hex').match(/.{4}/g) ?? [];
  return new SocketAddress({ family: 'ipv6', address: groups.join(':') }).address;
};
