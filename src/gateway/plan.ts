/**
 * What the gateway is asked for, and what may be asked. Host names and paths come from users and go into HAProxy's map and over its
 * command socket, so nothing but the letters that such names have is let through: no blank, line end, quote or semicolon.
 */
import { isIP } from 'node:net';
import { AppShotError } from '../common/index.ts';

export interface Backend {
  /** Its own within the service. */
  readonly name: string;
  readonly address: string;
  readonly port: number;
  /** One that sleeps is asked only when all of its service sleep. */
  readonly awake: boolean;
}

export interface Site {
  /** A host name, or `*.domain` for the names that have one label more than the domain. */
  readonly host: string;
  /** The part of the site, from its root; `/` when left out. The longest that fits a request wins. */
  readonly path?: string;
  /** Under this name the measurements come. Sites of one service have the same backends. */
  readonly service: string;
  readonly backends: readonly Backend[];
  /** Requests at once for each backend; more wait in the queue. Unbounded when left out. */
  readonly concurrency?: number;
}

export interface Listen {
  /** All IPv4 addresses of the machine when left out. */
  readonly address?: string;
  readonly port: number;
}

export interface GatewayPlan {
  readonly http?: Listen;
  /** Needs `certificates`. */
  readonly https?: Listen;
  /** A directory of PEM files, each with a certificate, its chain and its key; names in them choose. */
  readonly certificates?: string;
  /** Sends plain HTTP on to HTTPS. */
  readonly redirect?: boolean;
  readonly sites: readonly Site[];
}

/** One service of a plan: what a pool of HAProxy's is filled with. */
export interface Service {
  readonly backends: readonly Backend[];
  /** 0: unbounded. */
  readonly concurrency: number;
}

export interface Digest {
  readonly services: ReadonlyMap<string, Service>;
  /** Keys of HAProxy's map, host and path with a slash behind, and the service of each. */
  readonly places: ReadonlyMap<string, string>;
}

const HOST = /^(?:\*\.)?[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?)*$/;
const LONGEST_HOST = 253;
const PATH = /^(?:\/|(?:\/[A-Za-z0-9._~%@-]+)+\/?)$/;
const LONGEST_PATH = 1024;

/** Why a host name and a path cannot be a site's; undefined when they can. */
export const siteFault = (host: string, path = '/'): string | undefined => {
  if (host.length > LONGEST_HOST || !HOST.test(host))
    return 'a host name has labels of lower-case letters, digits and hyphens, and only the first may be *';
  if (path.length > LONGEST_PATH || !PATH.test(path))
    return 'a path begins with / and has letters, digits and any of . _ ~ % @ - between slashes';
  return undefined;
};

const isPort = (port: number): boolean => Number.isInteger(port) && port >= 1 && port <= 65_535;

const serviceFault = ({ backends, concurrency = 0 }: Site): string | undefined => {
  if (new Set(backends.map(({ name }) => name)).size < backends.length)
    return 'two backends have the same name';
  if (!Number.isInteger(concurrency) || concurrency < 0 || concurrency > 1_000_000)
    return 'concurrency is a whole number from 0 to 1000000';
  const bad = backends.find(({ address, port }) => isIP(address) === 0 || !isPort(port));
  return bad && `the backend ${JSON.stringify(bad.name)} has no IP address and port`;
};

const refuse = (host: string, reason: string): never => {
  throw new AppShotError('BAD_SITE', { host: JSON.stringify(host), reason });
};

const sameBackends = (one: Service, other: Service): boolean =>
  JSON.stringify([one.backends, one.concurrency]) === JSON.stringify([other.backends, other.concurrency]);

/** Throws `BAD_SITE` for a name, path, address or port that cannot be one, and for sites that contradict each other. */
export const digest = ({ sites }: GatewayPlan): Digest => {
  const services = new Map<string, Service>();
  const places = new Map<string, string>();
  for (const site of sites) {
    const { host, path = '/', service, backends, concurrency = 0 } = site;
    const fault = siteFault(host, path) ?? serviceFault(site);
    if (fault !== undefined) refuse(host, fault);
    const place = `${host}${path.replace(/\/?$/, '/')}`;
    if (places.has(place)) refuse(host, `there are two sites at ${place}`);
    places.set(place, service);
    const said = { backends, concurrency };
    if (!sameBackends(services.get(service) ?? said, said))
      refuse(host, `sites of the service ${JSON.stringify(service)} name different backends`);
    services.set(service, said);
  }
  return { services, places };
};

const listenFault = ({ address = '*', port }: Listen): string | undefined =>
  (address === '*' || isIP(address) !== 0) && isPort(port)
    ? undefined
    : `${address}:${port} is no address and port`;

/** Throws `GATEWAY_FAILED` for what nobody can listen at. */
export const checkListen = ({ http, https, certificates, redirect = false }: GatewayPlan): void => {
  const fault =
    [http, https].map((one) => one && listenFault(one)).find((reason) => reason !== undefined) ??
    (http === undefined && https === undefined ? 'it has no port to listen at' : undefined) ??
    (https !== undefined && certificates === undefined ? 'HTTPS needs certificates' : undefined) ??
    (redirect && https === undefined ? 'there is no HTTPS to redirect to' : undefined);
  if (fault !== undefined) throw new AppShotError('GATEWAY_FAILED', { reason: fault });
};
