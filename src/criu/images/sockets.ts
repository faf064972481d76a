/** What a saved socket is, in the words of `ss`. */
import type { Fields } from '../schema.ts';
import { bytesIn, numberIn, numbers } from './access.ts';
import { addressText } from './addresses.ts';

export interface SavedSocket {
  /** Such as `tcp`, `udp` and `unix`. */
  readonly protocol: string;
  /** Address and port, such as `10.10.0.2:80` and `[::]:80`, or a path; `@` begins an abstract one. Empty when it has none. */
  readonly local: string;
  /** Of the other end; empty when there is none. */
  readonly remote: string;
  /** Such as `established`, `listening` and `unconnected`. */
  readonly state: string;
}

/** `IPPROTO_*` of the kernel's `linux/in.h`. */
const PROTOCOLS: Readonly<Record<number, string>> = {
  1: 'icmp',
  6: 'tcp',
  17: 'udp',
  58: 'icmp6',
  136: 'udplite',
};

/** `TCP_*` of the kernel's `net/tcp_states.h`, which all sockets use. */
const STATES = [
  '',
  'established',
  'syn-sent',
  'syn-received',
  'fin-wait-1',
  'fin-wait-2',
  'time-wait',
  'closed',
  'close-wait',
  'last-ack',
  'listening',
  'closing',
];

/** `SOCK_STREAM` and `TCP_CLOSE` of the kernel. */
const STREAM = 1;
const CLOSED = 7;

const stateOf = (socket: Fields): string => {
  const state = numberIn(socket, 'state');
  if (state === CLOSED && numberIn(socket, 'type') !== STREAM) return 'unconnected';
  return STATES[state] || `state ${state}`;
};

const end = (socket: Fields, address: string, port: string): string => {
  const words = numbers(socket, address);
  const number = numberIn(socket, port);
  if (number === 0 && words.every((word) => word === 0)) return '';
  const text = addressText(words);
  return text.includes(':') ? `[${text}]:${number}` : `${text}:${number}`;
};

/** Of an `inet_sk_entry`. */
export const inetSocket = (socket: Fields): SavedSocket => {
  const protocol = numberIn(socket, 'proto');
  return {
    protocol: PROTOCOLS[protocol] ?? `protocol ${protocol}`,
    local: end(socket, 'srcAddr', 'srcPort'),
    remote: end(socket, 'dstAddr', 'dstPort'),
    state: stateOf(socket),
  };
};

/** The name of a UNIX socket as text: one in the file system ends with a zero byte, an abstract one begins with it. */
const unixName = (name: Uint8Array): string =>
  Buffer.from(name).toString('utf8').replace(/\0$/, '').replaceAll('\0', '@');

/** Of a `unix_sk_entry`, and of the name of its peer. */
export const unixSocket = (socket: Fields, peer: Fields | undefined): SavedSocket => ({
  protocol: 'unix',
  local: unixName(bytesIn(socket, 'name')),
  remote: unixName(bytesIn(peer, 'name')),
  state: stateOf(socket),
});
