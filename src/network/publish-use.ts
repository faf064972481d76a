/** Whether a program of this machine has a port already: translated, it would never see another packet of a new connection. */
import { NETLINK_SOCK_DIAG, NetlinkSocket, listSockets } from '../kernel/index.ts';
import type { InetSocket } from '../kernel/index.ts';

const EVERY = ['0.0.0.0', '::'];

/** A UDP socket that is connected is a client's: it takes packets of its peer alone. */
const takes = ({ state }: InetSocket, protocol: 'tcp' | 'udp'): boolean =>
  state === (protocol === 'tcp' ? 'LISTEN' : 'CLOSE');

/**
 * The address and port, such as `0.0.0.0:8080`, on which a program in the caller's network namespace takes what is meant for this port;
 * undefined when none does. Without `address` any of the machine's counts.
 */
export const portInUse = (
  protocol: 'tcp' | 'udp',
  address: string | undefined,
  port: number,
): string | undefined => {
  using diagnosis = NetlinkSocket.open(NETLINK_SOCK_DIAG);
  const found = listSockets(diagnosis, { protocol, family: 'both' }).find(
    (socket) =>
      socket.localPort === port &&
      takes(socket, protocol) &&
      (EVERY.includes(socket.localAddress) || address === undefined || address === socket.localAddress),
  );
  return found && `${found.localAddress}:${found.localPort}`;
};
