/** IPv4 routes of the main table over rtnetlink: `struct rtmsg` and RTA_* attributes (linux/rtnetlink.h). */
import { encodeIpv4 } from './ip-text.ts';
import { Attributes, attribute, optional, u32Attribute } from './messages.ts';
import { NLM_F_CREATE, NLM_F_DUMP, NLM_F_EXCL } from './netlink.ts';
import type { NetlinkSocket } from './netlink.ts';

const RTM_NEWROUTE = 24;
const RTM_DELROUTE = 25;
const RTM_GETROUTE = 26;
const RTA_DST = 1;
const RTA_OIF = 4;
const RTA_GATEWAY = 5;
const RTA_PRIORITY = 6;
const RT_TABLE_MAIN = 254;
const RTPROT_STATIC = 4;
const RT_SCOPE_UNIVERSE = 0;
const RT_SCOPE_LINK = 253;
const RT_SCOPE_NOWHERE = 255;
const ROUTE_TYPES = { unicast: 1, unreachable: 7 } as const;
const AF_INET = 2;
const BODY_SIZE = 12;

export interface Route {
  /** `0.0.0.0` with prefix 0 is the default route. */
  readonly destination: string;
  readonly prefix: number;
  readonly gateway?: string;
  /** Index of the outgoing interface. */
  readonly index?: number;
  /** `unreachable` refuses packets instead of sending them. */
  readonly type: keyof typeof ROUTE_TYPES;
  /** Among routes to the same network the lowest wins; 0 when left out. */
  readonly metric?: number;
}

const body = (route: Route, protocol: number, scope: number): Buffer =>
  Buffer.from([
    AF_INET,
    route.prefix,
    0,
    0,
    RT_TABLE_MAIN,
    protocol,
    scope,
    ROUTE_TYPES[route.type],
    0,
    0,
    0,
    0,
  ]);

const routeAttributes = ({ destination, gateway, index, metric }: Route): Buffer[] => [
  attribute(RTA_DST, encodeIpv4(destination)),
  ...optional(gateway, (address) => attribute(RTA_GATEWAY, encodeIpv4(address))),
  ...optional(index, (value) => u32Attribute(RTA_OIF, value)),
  ...optional(metric, (value) => u32Attribute(RTA_PRIORITY, value)),
];

const isDirect = ({ type, gateway }: Route): boolean => type === 'unicast' && gateway === undefined;

/** Adds a route. Throws EEXIST; ENETUNREACH when the gateway cannot be reached; ENETDOWN when the interface is down. */
export const addRoute = (nl: NetlinkSocket, route: Route): void => {
  const scope = isDirect(route) ? RT_SCOPE_LINK : RT_SCOPE_UNIVERSE;
  nl.request({
    name: `RTM_NEWROUTE ${route.destination}/${route.prefix}`,
    type: RTM_NEWROUTE,
    flags: NLM_F_CREATE | NLM_F_EXCL,
    parts: [body(route, RTPROT_STATIC, scope), ...routeAttributes(route)],
  });
};

/** Deletes the route that has all the properties given. Throws ESRCH when there is none. */
export const deleteRoute = (nl: NetlinkSocket, route: Route): void =>
  void nl.request({
    name: `RTM_DELROUTE ${route.destination}/${route.prefix}`,
    type: RTM_DELROUTE,
    parts: [body(route, 0, RT_SCOPE_NOWHERE), ...routeAttributes(route)],
  });

const decodeRoute = (payload: Buffer): Route[] => {
  const kinds = Object.keys(ROUTE_TYPES) as (keyof typeof ROUTE_TYPES)[];
  const type = kinds.find((kind) => ROUTE_TYPES[kind] === payload.readUInt8(7));
  if (payload.readUInt8(4) !== RT_TABLE_MAIN || type === undefined) return [];
  const attributes = new Attributes(payload, BODY_SIZE);
  const gateway = attributes.ipv4(RTA_GATEWAY);
  const index = attributes.u32(RTA_OIF);
  return [
    {
      destination: attributes.ipv4(RTA_DST) ?? '0.0.0.0',
      prefix: payload.readUInt8(1),
      type,
      metric: attributes.u32(RTA_PRIORITY) ?? 0,
      ...(gateway === undefined ? {} : { gateway }),
      ...(index === undefined ? {} : { index }),
    },
  ];
};

/** The unicast and unreachable routes of the main table, those that came with addresses too. */
export const listRoutes = (nl: NetlinkSocket): Route[] => {
  const all = Buffer.alloc(BODY_SIZE);
  all.writeUInt8(AF_INET, 0);
  return nl
    .request({ name: 'RTM_GETROUTE', type: RTM_GETROUTE, flags: NLM_F_DUMP, parts: [all] })
    .flatMap(decodeRoute);
};
