/** Messages on a TCP connection: each behind two bytes that tell its length. */
import type { Socket } from 'node:net';

export const frame = (message: Buffer): Buffer => {
  const length = Buffer.alloc(2);
  length.writeUInt16BE(message.length);
  return Buffer.concat([length, message]);
};

/**
 * What arrives, as it arrives: of each chunk all the messages that it completes. Ends with the connection's input, and throws as the
 * connection fails, or a RangeError when a message is announced that is longer than `maxBytes`.
 */
export async function* frames(socket: Socket, maxBytes: number): AsyncGenerator<readonly Buffer[]> {
  let rest = Buffer.alloc(0);
  for await (const chunk of socket.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
    rest = Buffer.concat([rest, chunk]);
    const messages: Buffer[] = [];
    while (rest.length >= 2) {
      const end = 2 + rest.readUInt16BE(0);
      if (end - 2 > maxBytes) throw new RangeError(`a message of ${end - 2} bytes`);
      if (rest.length < end) break;
      messages.push(rest.subarray(2, end));
      rest = rest.subarray(end);
    }
    if (messages.length > 0) yield messages;
  }
}
