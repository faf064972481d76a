/** The words for networks, published ports, sites and the policy of the scheduler. */
import { z } from '@hono/zod-openapi';

export * from './published.ts';

/** A label of a host name (RFC 1123) that an interface and a table can be named after. */
export const NetworkName = z
  .string()
  .regex(
    /^[a-z]([a-z0-9-]{0,30}[a-z0-9])?$/,
    'use 1 to 32 lower-case letters, digits and hyphens, beginning with a letter',
  );

/** What an application belongs to when it does not say: the daemon's own network. */
export const DEFAULT_NETWORK = 'default';

export const NetworkRequest = z
  .strictObject({
    name: NetworkName,
    /** CIDR, /8 to /30; one that is free when left out. */
    cidr: z.string().optional(),
    /** Whether its applications reach what lies outside, as this machine. */
    outgoing: z.boolean().default(false),
  })
  .openapi('NetworkRequest');
export type NetworkRequest = z.infer<typeof NetworkRequest>;

export const NetworkView = z
  .object({
    name: z.string(),
    cidr: z.string(),
    /** The address of this machine in it, which answers questions for names. */
    gateway: z.string(),
    /** The interface that its applications are connected to. */
    bridge: z.string(),
    outgoing: z.boolean(),
    /** How many applications it has. */
    applications: z.number().int(),
    createdAt: z.string(),
  })
  .openapi('NetworkView');
export type NetworkView = z.infer<typeof NetworkView>;

const portNumber = z.number().int().min(1).max(65535);

export const PublishSpec = z
  .strictObject({
    /** Of this machine. */
    port: portNumber,
    /** Of the application. */
    target: portNumber,
    protocol: z.enum(['tcp', 'udp']).default('tcp'),
    /** Of this machine; all of its addresses when left out. */
    address: z.ipv4().optional(),
  })
  // As whoever listens says it.
  .overwrite(({ address, ...everywhere }) =>
    address === undefined || address === '0.0.0.0' ? everywhere : { ...everywhere, address },
  )
  .openapi('PublishSpec');
export type PublishSpec = z.infer<typeof PublishSpec>;

export const SiteSpec = z
  .strictObject({
    /** A host name as browsers ask for it; `*.` in front stands for one label. */
    host: z
      .string()
      .max(253)
      .regex(
        /^(\*\.)?([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)*[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/,
        'give a host name in lower case',
      ),
    /** The part of the site, with what is below it; all of it when left out. */
    path: z
      .string()
      .max(1024)
      .regex(
        /^(?:\/|(?:\/[A-Za-z0-9._~%@-]+)+\/?)$/,
        'give a path of letters, digits and any of . _ ~ % @ -, such as /api',
      )
      .optional(),
    /** Of the application. */
    port: portNumber,
  })
  .openapi('SiteSpec');
export type SiteSpec = z.infer<typeof SiteSpec>;

const seconds = z
  .number()
  .min(0.1)
  .max(86400 * 365);

export const PolicySpec = z
  .strictObject({
    /** Who gives way when memory or processors are short: the lower one. */
    priority: z.number().int().min(0).max(100).default(50),
    /** Seconds without requests after which its processes are frozen in memory, before it sleeps. */
    freeze: seconds.optional(),
    /**
     * How many instances of the service are awake at least, asked or not, how many there are at most, what further ones are cloned from, and
     * how many requests of its sites each has at once; more wait.
     */
    instances: z
      .strictObject({
        min: z.number().int().min(0).max(1000).default(0),
        max: z.number().int().min(1).max(1000),
        template: z.string().optional(),
        concurrency: z.number().int().min(1).max(10_000).optional(),
      })
      .optional(),
    /** Requests that keep nobody awake: of health checkers, by their addresses (CIDR). */
    ignore: z
      .array(z.cidrv4('give an IPv4 network such as 10.0.0.0/8'))
      .max(64, 'there may be 64 at most')
      .default([]),
  })
  .openapi('PolicySpec');
export type PolicySpec = z.infer<typeof PolicySpec>;

/** What of a description must fit together. */
interface Parts {
  readonly publish?: readonly PublishSpec[] | undefined;
  readonly sites?: readonly SiteSpec[] | undefined;
  readonly policy?: PolicySpec | undefined;
  /** Seconds. */
  readonly idle?: number | undefined;
}

/** What does not fit together, and where. */
export interface Flaw {
  readonly path: (string | number)[];
  readonly reason: string;
}

/** Whether two cannot both be published: all addresses of the machine include each of them. */
export const collide = (one: PublishSpec, other: PublishSpec): boolean =>
  one.port === other.port &&
  one.protocol === other.protocol &&
  (one.address === undefined || other.address === undefined || one.address === other.address);

/** The name of a site: two that have the same are one. */
export const siteName = ({ host, path = '' }: SiteSpec): string => `${host}${path.replace(/\/$/, '')}`;

/** The first item that says again what one before it has said. */
const findRepeated = <T>(list: readonly T[], isSame: (one: T, other: T) => boolean): number =>
  list.findIndex((one, index) => list.slice(0, index).some((other) => isSame(one, other)));

const findPolicyFlaw = (policy: PolicySpec, idle: number | undefined): Flaw | undefined => {
  const { freeze, instances } = policy;
  if (instances !== undefined && instances.min > instances.max)
    return {
      path: ['policy', 'instances', 'min'],
      reason: `it must be at most ${instances.max}, as max says`,
    };
  if (freeze !== undefined && idle !== undefined && freeze >= idle)
    return { path: ['policy', 'freeze'], reason: 'it must be less than the time after which it sleeps' };
  return undefined;
};

/** The first mistake that no field shows by itself; undefined when the parts fit together. */
export const findFlaw = ({ publish = [], sites = [], policy, idle }: Parts): Flaw | undefined => {
  const port = findRepeated(publish, collide);
  const twice = publish[port];
  if (twice !== undefined)
    return { path: ['publish', port], reason: `the port ${twice.port}/${twice.protocol} is there twice` };
  const site = findRepeated(sites, (one, other) => siteName(one) === siteName(other));
  const again = sites[site];
  if (again !== undefined)
    return { path: ['sites', site], reason: `the host ${siteName(again)} is there twice` };
  return policy && findPolicyFlaw(policy, idle);
};
