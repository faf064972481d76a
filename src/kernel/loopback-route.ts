/**
 * Packets of 127.0.0.0/8 on an interface that is not the loopback one: IFLA_INET_CONF, which holds the settings of
 * /proc/sys/net/ipv4/conf/NAME by their numbers (linux/ip.h), but in the socket's namespace whatever /proc is mounted.
 */
import { nestedAttribute, u32Attribute } from './messages.ts';
import type { NetlinkSocket } from './netlink.ts';

const RTM_NEWLINK = 16;
const IFLA_AF_SPEC = 26;
const AF_INET = 2;
const IFLA_INET_CONF = 1;
const IPV4_DEVCONF_ROUTE_LOCALNET = 26;
const BODY_SIZE = 16;

/**
 * Sets `route_localnet` of an interface: what a loopback client sends may leave by it, translated, and the answers come back. Whoever
 * allows it must drop packets that arrive by it with an address of 127.0.0.0/8, which the kernel no longer does. Throws ENODEV.
 */
export const routeLoopback = (nl: NetlinkSocket, index: number, allowed: boolean): void => {
  const body = Buffer.alloc(BODY_SIZE);
  body.writeInt32LE(index, 4);
  const setting = u32Attribute(IPV4_DEVCONF_ROUTE_LOCALNET, Number(allowed));
  const family = nestedAttribute(IFLA_AF_SPEC, [
    nestedAttribute(AF_INET, [nestedAttribute(IFLA_INET_CONF, [setting])]),
  ]);
  nl.request({ name: `RTM_NEWLINK ${index}`, type: RTM_NEWLINK, parts: [body, family] });
};
