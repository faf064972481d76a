/**
 * Netlink, synchronously: a request goes out, the answers are read until the kernel's acknowledgement (or the end of a
 * dump), and the call returns. The kernel answers within the same system call, so nothing really waits; a time-out of 5 s
 * guards against a protocol error. A socket belongs to the network namespace in which it was opened and serves it
 * from anywhere afterwards, as long as it is open.
 */
import { Attributes, HEADER_SIZE, decodeMessages, encodeMessage } from './messages.ts';
import type { Message } from './messages.ts';
import { KernelError, O_CLOEXEC, bind, close, isErrno } from './sys.ts';

export const NETLINK_ROUTE = 0;
export const NETLINK_SOCK_DIAG = 4;

const NLM_F_REQUEST = 0x1;
const NLM_F_ACK = 0x4;
const NLM_F_DUMP_INTR = 0x10;
export const NLM_F_REPLACE = 0x100;
export const NLM_F_DUMP = 0x300;
export const NLM_F_EXCL = 0x200;
export const NLM_F_CREATE = 0x400;
const NLM_F_CAPPED = 0x100;
const NLM_F_ACK_TLVS = 0x200;
const NLMSG_ERROR = 2;
const NLMSG_DONE = 3;
const NLMSGERR_ATTR_MSG = 1;

const AF_NETLINK = 16;
const SOCK_RAW = 3;
const SOL_SOCKET = 1;
const SO_RCVTIMEO = 20;
const SOL_NETLINK = 270;
const NETLINK_CAP_ACK = 10;
const NETLINK_EXT_ACK = 11;
const MSG_TRUNC = 0x20;
const TIMEOUT_SECONDS = 5n;
/** The kernel fills answers to a dump up to 32 KiB. */
const RECEIVE_SIZE = 64 * 1024;
/** A table that changes while it is read is read again, this often. */
const DUMP_ATTEMPTS = 10;

const openSocket = bind('socket', ['int', 'int', 'int']);
const setsockopt = bind('setsockopt', ['int', 'int', 'int', 'void *', 'uint']);
const send = bind('send', ['int', 'void *', 'ulong', 'int'], 'long');
const recv = bind('recv', ['int', 'void *', 'ulong', 'int'], 'long');

/** Requests are synchronous, so one buffer serves all sockets of the thread. */
const received = Buffer.alloc(RECEIVE_SIZE);

/** What to send: `name` is what errors call it. */
export interface NetlinkRequest {
  readonly name: string;
  readonly type: number;
  readonly flags?: number;
  /** The fixed body, then the attributes. */
  readonly parts: readonly Uint8Array[];
}

const setOption = (fd: number, level: number, option: number, value: Uint8Array): void =>
  void setsockopt(fd, level, option, value, value.length);

const configure = (fd: number): void => {
  const timeout = Buffer.alloc(16);
  timeout.writeBigInt64LE(TIMEOUT_SECONDS, 0);
  setOption(fd, SOL_SOCKET, SO_RCVTIMEO, timeout);
  const on = Buffer.from([1, 0, 0, 0]);
  setOption(fd, SOL_NETLINK, NETLINK_EXT_ACK, on);
  setOption(fd, SOL_NETLINK, NETLINK_CAP_ACK, on);
};

const receive = (fd: number): Message[] => {
  for (;;) {
    try {
      const length = recv(fd, received, received.length, MSG_TRUNC);
      if (length > received.length) throw new RangeError(`a netlink datagram of ${length} bytes was cut off`);
      return decodeMessages(received.subarray(0, length));
    } catch (error) {
      if (!isErrno(error, 'EINTR')) throw error;
    }
  }
};

/** The explanation that the kernel attaches to a refusal, if any. */
const explanation = ({ flags, payload }: Message): string => {
  if ((flags & NLM_F_ACK_TLVS) === 0) return '';
  const echoed = (flags & NLM_F_CAPPED) === 0 ? payload.readUInt32LE(4) : HEADER_SIZE;
  return new Attributes(payload, 4 + echoed).text(NLMSGERR_ATTR_MSG) ?? '';
};

const throwOnError = (name: string, message: Message): void => {
  const status = message.payload.length < 4 ? 0 : message.payload.readInt32LE(0);
  if (status >= 0) return;
  throw new KernelError(name, -status, message.type === NLMSG_ERROR ? explanation(message) : '');
};

export class NetlinkSocket implements Disposable {
  readonly #fd: number;
  #sequence = 0;
  #open = true;

  private constructor(fd: number) {
    this.#fd = fd;
  }

  /** A socket in the calling thread's network namespace. */
  static open(protocol: number = NETLINK_ROUTE): NetlinkSocket {
    const fd = openSocket(AF_NETLINK, SOCK_RAW | O_CLOEXEC, protocol);
    try {
      configure(fd);
    } catch (error) {
      close(fd);
      throw error;
    }
    return new NetlinkSocket(fd);
  }

  /** Sends a request and gives the payloads of its answers. Throws `KernelError` with the kernel's explanation. */
  request(request: NetlinkRequest): Buffer[] {
    if (!this.#open) throw new KernelError(request.name, 9, 'the netlink socket is closed');
    for (let attempt = 1; ; attempt++) {
      const answers = this.#exchange(request);
      if (answers !== undefined) return answers;
      if (attempt === DUMP_ATTEMPTS) throw new KernelError(request.name, 4, 'the table never held still');
    }
  }

  /** One exchange; undefined when a dump was not consistent. */
  #exchange({ name, type, flags = 0, parts }: NetlinkRequest): Buffer[] | undefined {
    const sequence = (this.#sequence = (this.#sequence + 1) >>> 0);
    const message = encodeMessage(type, flags | NLM_F_REQUEST | NLM_F_ACK, sequence, parts);
    send(this.#fd, message, message.length, 0);
    const payloads: Buffer[] = [];
    let consistent = true;
    for (;;) {
      for (const answer of receive(this.#fd)) {
        // Leftovers of a request that timed out must not pass for the answer to this one.
        if (answer.sequence !== sequence) continue;
        if ((answer.flags & NLM_F_DUMP_INTR) !== 0) consistent = false;
        if (answer.type === NLMSG_ERROR || answer.type === NLMSG_DONE) {
          throwOnError(name, answer);
          return consistent ? payloads : undefined;
        }
        payloads.push(Buffer.from(answer.payload));
      }
    }
  }

  close(): void {
    if (this.#open) close(this.#fd);
    this.#open = false;
  }

  [Symbol.dispose](): void {
    this.close();
  }
}
