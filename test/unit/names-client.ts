/** Asks name servers as a program of one's own does, byte by byte. */
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { connect } from 'node:net';
import type { Socket } from 'node:net';
import packet from 'dns-packet';
import type { DecodedPacket, Packet, RecordType } from 'dns-packet';
import { frame, frames } from '../../src/names/framing.ts';

export interface At {
  readonly address: string;
  readonly port: number;
}

/** The bytes of a question; `edns` is the size that it offers to take. */
export const question = (name: string, type = 'A', more: Packet & { edns?: number } = {}): Buffer => {
  const { edns, ...rest } = more;
  const opt = { type: 'OPT', name: '.', udpPayloadSize: edns, extendedRcode: 0, ednsVersion: 0 } as const;
  return packet.encode({
    id: 7,
    flags: packet.RECURSION_DESIRED,
    questions: [{ name, type: type as RecordType }],
    additionals:
      edns === undefined ? [] : [{ ...opt, udpPayloadSize: edns, flags: 0, flag_do: false, options: [] }],
    ...rest,
  });
};

export const rcodeOf = (reply: DecodedPacket): string => (reply as unknown as { rcode: string }).rcode;

/** What an answer's records hold. */
export const dataOf = ({ answers = [] }: Packet): unknown[] =>
  answers.map((record) => ('data' in record ? record.data : undefined));

/** Sends messages by UDP, and waits for as many replies, in whatever order. */
export const udpReplies = async (at: At, messages: readonly Buffer[], replies: number): Promise<Buffer[]> => {
  const socket = createSocket('udp4');
  const heard: Buffer[] = [];
  const { promise, resolve, reject } = Promise.withResolvers<Buffer[]>();
  socket.on('error', reject).on('message', (message) => {
    if (heard.push(message) === replies) resolve(heard);
  });
  try {
    for (const message of messages) socket.send(message, at.port, at.address);
    return await promise;
  } finally {
    socket.close();
  }
};

export const askUdp = async (at: At, message: Buffer): Promise<DecodedPacket & { bytes: Buffer }> => {
  const [bytes = Buffer.alloc(0)] = await udpReplies(at, [message], 1);
  return { ...packet.decode(bytes), bytes };
};

export const openTcp = async ({ address, port }: At): Promise<Socket> => {
  const socket = connect({ host: address, port });
  await once(socket, 'connect');
  return socket;
};

/** Sends questions on one connection, in pieces of `piece` bytes, says that it has no more, and reads all replies. */
export const askTcp = async (
  at: At,
  messages: readonly Buffer[],
  piece = 65_536,
): Promise<DecodedPacket[]> => {
  const socket = (await openTcp(at)).setNoDelay(true);
  const bytes = Buffer.concat(messages.map(frame));
  for (let start = 0; start < bytes.length; start += piece)
    socket.write(bytes.subarray(start, start + piece));
  socket.end();
  const replies: DecodedPacket[] = [];
  for await (const some of frames(socket, 65_535)) replies.push(...some.map((each) => packet.decode(each)));
  return replies;
};
