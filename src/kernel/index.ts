/**
 * The door to the kernel: netlink, mounts, namespaces, packets, firewall. Everything is synchronous, and a refusal is a
 * `KernelError`. No other room calls libc.
 */
export { addAddress, listAddresses } from './addresses.ts';
export type { InterfaceAddress } from './addresses.ts';
export { encodeArpRequest } from './arp.ts';
export type { ArpRequest } from './arp.ts';
export { boottimeNow, monotonicNow } from './clock.ts';
export { NETLINK_NETFILTER, forgetTracked, listTracked } from './conntrack.ts';
export type { Flow, SocketName, TcpState, TrackedConnection, TrackedFilter } from './conntrack.ts';
export { abortConnections, listSockets, listUnixSockets } from './diag.ts';
export type { InetSocket, SocketState, UnixSocket } from './diag.ts';
export { dataExtents } from './extents.ts';
export {
  createBridge,
  createVethPair,
  deleteLink,
  linkByName,
  listLinks,
  setLink,
  withoutLinkLocal,
} from './links.ts';
export type { Link, LinkChange, VethPair } from './links.ts';
export { routeLoopback } from './loopback-route.ts';
export { cloneTree, mountFilesystem, moveMount, overlay, setOpaque, tmpfs, umount } from './mounts.ts';
export type { CloneTreeOptions, OverlayOptions, TmpfsOptions } from './mounts.ts';
export { openNamespace, withIpcNamespace, withNetworkNamespace } from './namespaces.ts';
export type { NamespaceType } from './namespaces.ts';
export { deleteNeighbour, listNeighbours, setNeighbour, setNeighbourParameters } from './neighbours.ts';
export type { Neighbour, NeighbourEntry, NeighbourParameters, NeighbourState } from './neighbours.ts';
export { NETLINK_ROUTE, NETLINK_SOCK_DIAG, NetlinkSocket } from './netlink.ts';
export { Nftables } from './nftables.ts';
export type { NftCommand, NftObject } from './nftables.ts';
export { FrameSocket, listenArp } from './packets.ts';
export type { ArpListener, ArpQuestion } from './packets.ts';
export { followInRoot, openInRoot, openRoot } from './openat2.ts';
export { mountImage } from './loop.ts';
export { writeProcessMemory } from './process-memory.ts';
export { readAhead } from './readahead.ts';
export { addRoute, deleteRoute, listRoutes } from './routes.ts';
export type { Route } from './routes.ts';
export { socketProtocol } from './socket-protocol.ts';
export { listSetCounters } from './set-counters.ts';
export type { CountedElement } from './set-counters.ts';
export { sendFds, socketFd } from './sockets.ts';
export { KernelError, close, isErrno, openFd } from './sys.ts';
export { beginConnection } from './tcp.ts';
export { getXattr, listXattrs, makeNode, setTimes, setXattr, unpackDevice } from './xattrs.ts';
export type { PathLike } from './xattrs.ts';
