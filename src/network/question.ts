/**
 * Whether a question for a sleeping application's address is a reason to wake it. Pure.
 *
 * This machine's own packets have passed the filter before the kernel asks, so its questions always are. Another
 * application's kernel asks before any rule could see the packet: there its sockets tell what it wants to send.
 */
import type { InetSocket } from '../kernel/index.ts';
import type { Reachability } from './filter.ts';

export type Asker =
  | { readonly kind: 'machine' }
  | { readonly kind: 'application'; readonly sockets: readonly InetSocket[] }
  | { readonly kind: 'stranger' };

/** `address` is the sleeping application's. */
export const isReason = (asker: Asker, address: string, reachable: Reachability): boolean => {
  const { listening, connections } = reachable;
  if (asker.kind === 'machine') return true;
  if (asker.kind === 'stranger') return listening.length + connections.length > 0;
  // A datagram's destination is not in its socket's state, so any of them may be meant.
  if (listening.some(({ protocol }) => protocol === 'udp')) return true;
  const tcp = new Set(listening.map(({ port }) => port));
  for (const { localPort } of connections) tcp.add(localPort);
  // One that is closed on both sides (TIME_WAIT) sends nothing any more.
  return asker.sockets.some(
    (socket) =>
      socket.state !== 'TIME_WAIT' && socket.remoteAddress === address && tcp.has(socket.remotePort),
  );
};
