/**
 * Frames on an interface, and the ear of the sentinel.
 *
 * `listenArp` waits for an AF_PACKET socket in Node's own event loop: nothing runs while nobody asks, and a question
 * reaches its handler without a thread in between (that would cost 0.15 ms and 30 MB). One turn reads a bounded number of
 * frames and merges those that are the same; a storm waits in the socket, and what does not fit there is dropped by the
 * kernel, since those who ask repeat themselves.
 */
import { close as closeInPool } from 'node:fs';
import { promisify } from 'node:util';
import { decodeArpRequest, ETH_P_ARP, REQUEST_SIZE } from './arp.ts';
import type { ArpRequest } from './arp.ts';
import { linkByName } from './links.ts';
import { NetlinkSocket } from './netlink.ts';
import { KernelError, O_CLOEXEC, about, bind, close, isErrno, watchReadable } from './sys.ts';

const AF_PACKET = 17;
const SOCK_RAW = 3;
const SOL_SOCKET = 1;
const SO_RCVBUF = 8;
const SO_RCVBUFFORCE = 33;
const SOL_PACKET = 263;
const PACKET_IGNORE_OUTGOING = 23;
const ADDRESS_SIZE = 20;
const ENODEV = 19;
/** Room for some thousand frames: a frame of ARP counts for about 0.75 KiB in the kernel. */
const RECEIVE_BUFFER = 4 * 1024 * 1024;
/** Frames read in one turn of the event loop. */
const FRAMES_PER_TURN = 1024;
const MSG_DONTWAIT = 0x40;

const openSocket = bind('socket', ['int', 'int', 'int']);
const bindSocket = bind('bind', ['int', 'void *', 'uint']);
const setsockopt = bind('setsockopt', ['int', 'int', 'int', 'void *', 'uint']);
const sendto = bind('sendto', ['int', 'void *', 'ulong', 'int', 'void *', 'uint'], 'long');
const recv = bind('recv', ['int', 'void *', 'ulong', 'int'], 'long');

const received = Buffer.alloc(REQUEST_SIZE);

/** `struct sockaddr_ll`: an interface, and the protocol to receive. */
const linkAddress = (index: number, protocol: number): Buffer => {
  const address = Buffer.alloc(ADDRESS_SIZE);
  address.writeUInt16LE(AF_PACKET, 0);
  address.writeUInt16BE(protocol, 2);
  address.writeInt32LE(index, 4);
  return address;
};

/** Without a protocol nothing is received, from any interface, before the socket is bound. */
const openPacketSocket = (): number => openSocket(AF_PACKET, SOCK_RAW | O_CLOEXEC, 0);

/** Sends frames in the network namespace in which it was opened. */
export class FrameSocket implements Disposable {
  readonly #fd = openPacketSocket();
  #open = true;

  /** Sends one complete Ethernet frame through an interface. Throws ENETDOWN, ENXIO. */
  send(interfaceIndex: number, frame: Uint8Array): void {
    const address = linkAddress(interfaceIndex, 0);
    about(`interface ${interfaceIndex}`, () =>
      sendto(this.#fd, frame, frame.length, 0, address, address.length),
    );
  }

  /** Takes 10 ms and more: the kernel waits until no processor uses the socket. Keep it open instead. */
  close(): void {
    if (this.#open) close(this.#fd);
    this.#open = false;
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

const setNumber = (fd: number, level: number, option: number, value: number): void => {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32LE(value);
  setsockopt(fd, level, option, bytes, bytes.length);
};

const enlargeReceiveBuffer = (fd: number): void => {
  try {
    setNumber(fd, SOL_SOCKET, SO_RCVBUFFORCE, RECEIVE_BUFFER);
  } catch (error) {
    if (!isErrno(error, 'EPERM')) throw error;
    // Without CAP_NET_ADMIN over the machine, net.core.rmem_max bounds it.
    setNumber(fd, SOL_SOCKET, SO_RCVBUF, RECEIVE_BUFFER);
  }
};

const indexOf = (interfaceName: string): number => {
  using nl = NetlinkSocket.open();
  const link = linkByName(nl, interfaceName);
  if (link === undefined) throw new KernelError('bind', ENODEV, interfaceName);
  return link.index;
};

const openArpSocket = (interfaceName: string): number => {
  const address = linkAddress(indexOf(interfaceName), ETH_P_ARP);
  const fd = openPacketSocket();
  try {
    setNumber(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, 1);
    enlargeReceiveBuffer(fd);
    about(interfaceName, () => bindSocket(fd, address, address.length));
    return fd;
  } catch (error) {
    close(fd);
    throw error;
  }
};

export interface ArpQuestion extends ArpRequest {
  /** When the frame was read: CLOCK_MONOTONIC in nanoseconds. */
  readonly at: bigint;
}

export interface ArpListener {
  /** Stops listening at once; the socket is gone when the promise resolves (the kernel takes some 10 ms for it). */
  close(): Promise<void>;
}

/** Reads one frame, cut off after an ARP request's length; undefined when none is there. Throws ENETDOWN. */
const readFrame = (fd: number): Buffer | undefined => {
  try {
    return received.subarray(0, recv(fd, received, received.length, MSG_DONTWAIT));
  } catch (error) {
    if (isErrno(error, 'EAGAIN')) return undefined;
    throw error;
  }
};

/** What is asked in the frames that have come, each question once. */
const drain = (fd: number): ArpQuestion[] => {
  const questions = new Map<string, ArpQuestion>();
  for (let count = 0; count < FRAMES_PER_TURN; count++) {
    const bytes = readFrame(fd);
    if (bytes === undefined) break;
    const key = bytes.toString('latin1');
    const request = questions.has(key) ? undefined : decodeArpRequest(bytes);
    if (request !== undefined) questions.set(key, { ...request, at: process.hrtime.bigint() });
  }
  return [...questions.values()];
};

/**
 * Hears every ARP request that reaches an interface, which must be up, of the calling thread's namespace, and calls
 * `onQuestion` for it. The process stays alive while it listens. After `onError` it is deaf, as when its
 * interface went down or away; `close` is still due. Throws ENODEV when the interface does not exist.
 */
export const listenArp = (
  interfaceName: string,
  onQuestion: (question: ArpQuestion) => void,
  onError: (error: KernelError) => void,
): ArpListener => {
  const fd = openArpSocket(interfaceName);
  let open = true;
  const hear = (): void => {
    if (!open) return;
    let questions: ArpQuestion[];
    try {
      questions = drain(fd);
    } catch (error) {
      stopWatching();
      onError(error as KernelError);
      return;
    }
    for (const question of questions) if (open) onQuestion(question);
  };
  const stopWatching = watchReadable(fd, hear);
  let closed: Promise<void> | undefined;
  const shut = (): Promise<void> => {
    open = false;
    stopWatching();
    return promisify(closeInPool)(fd);
  };
  return { close: () => (closed ??= shut()) };
};
