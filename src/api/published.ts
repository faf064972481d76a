/** Published ports and sites as users write them, in `appshot.yaml` and on the command line. */
import type { PublishSpec, SiteSpec } from './networks.ts';

/** Consecutive ports; both ends belong to it. */
export interface PortRange {
  readonly first: number;
  readonly last: number;
}

const MAX_PORT = 65535;
const MAX_PUBLISHED = 64;

/** @throws Error with the reason */
export const readPorts = (text: string): PortRange => {
  const match = /^(\d{1,5})(?:-(\d{1,5}))?$/.exec(text);
  if (match === null) throw new Error(`'${text}' is neither a port nor a range such as 8000-8003`);
  const first = Number(match[1]);
  const last = Number(match[2] ?? match[1]);
  const outside = [first, last].find((port) => port < 1 || port > MAX_PORT);
  if (outside !== undefined) throw new Error(`the port ${outside} is not between 1 and ${MAX_PORT}`);
  if (last < first) throw new Error(`the range ${text} ends before it begins`);
  return { first, last };
};

/** The parts of `[ADDRESS:]PORT:TARGET[/PROTOCOL]`, each as it is written there. */
export interface PublishWords {
  readonly port: string;
  readonly target: string;
  readonly protocol?: string;
  readonly address?: string;
}

/** @throws Error with the reason */
export const splitPublish = (text: string): PublishWords => {
  const [ports = '', protocol, ...more] = text.split('/');
  const [target = '', port, address, ...rest] = ports.split(':').toReversed();
  if (port === undefined && /^[\d-]+$/.test(target))
    throw new Error(`'${text}' names no port of this machine: write ${target}:${target}`);
  if (ports.includes('[') || (rest.length > 0 && more.length === 0))
    throw new Error(`'${text}' does not begin with an IPv4 address`);
  if (port === undefined || more.length > 0)
    throw new Error(`'${text}' is not [ADDRESS:]PORT:TARGET[/udp], such as 8080:80`);
  return {
    port,
    target,
    ...(protocol === undefined ? {} : { protocol }),
    ...(address === undefined ? {} : { address }),
  };
};

export interface PublishRange {
  readonly port: PortRange;
  readonly target: PortRange;
  readonly protocol: PublishSpec['protocol'];
  readonly address?: string | undefined;
}

const countOf = ({ first, last }: PortRange): number => last - first + 1;

/**
 * Each port of a range with its target. 0.0.0.0 stands for all addresses, as it does for whoever listens.
 *
 * @throws Error with the reason
 */
export const expandPublish = ({ port, target, protocol, address }: PublishRange): PublishSpec[] => {
  const count = countOf(port);
  if (count !== countOf(target))
    throw new Error(`ports and targets must be as many, not ${count} and ${countOf(target)}`);
  if (count > MAX_PUBLISHED) throw new Error(`there may be ${MAX_PUBLISHED} at most`);
  const place = address === undefined || address === '0.0.0.0' ? {} : { address };
  return Array.from({ length: count }, (_, index) => ({
    port: port.first + index,
    target: target.first + index,
    protocol,
    ...place,
  }));
};

const readProtocol = (text: string): PublishSpec['protocol'] => {
  if (text !== 'tcp' && text !== 'udp') throw new Error(`'${text}' is neither tcp nor udp`);
  return text;
};

/**
 * `[ADDRESS:]PORT:TARGET[/udp]`; ports and targets may be ranges of one length, such as `8000-8003:80-83`.
 *
 * @throws Error with the reason; the address is the schema's to judge
 */
export const readPublish = (text: string): PublishSpec[] => {
  const { port, target, protocol = 'tcp', address } = splitPublish(text);
  const ends = { port: readPorts(port), target: readPorts(target) };
  return expandPublish({ ...ends, protocol: readProtocol(protocol), address });
};

/** A site whose port may still be that of what is published. */
export interface SiteWords {
  readonly host: string;
  readonly path?: string | undefined;
  readonly port?: number | undefined;
}

/**
 * `HOST[/PATH][:PORT]`.
 *
 * @throws Error with the reason
 */
export const readSite = (text: string): SiteWords => {
  const [, host, path, port] = /^([^:/]+)(\/[^:]*)?(?::(\d{1,15}))?$/.exec(text) ?? [];
  if (host === undefined) throw new Error(`'${text}' is not HOST:PORT, such as shop.example:8080`);
  return {
    host,
    ...(path === undefined ? {} : { path }),
    ...(port === undefined ? {} : { port: Number(port) }),
  };
};

/**
 * A site that names no port is served at the one that is published, when there is one and no other.
 *
 * @throws Error with the reason
 */
export const completeSite = ({ host, path, port }: SiteWords, publish: readonly PublishSpec[]): SiteSpec => {
  const place = path === undefined ? { host } : { host, path };
  if (port !== undefined) return { ...place, port };
  const targets = new Set(publish.filter(({ protocol }) => protocol === 'tcp').map(({ target }) => target));
  const [target] = targets;
  if (target === undefined || targets.size > 1)
    throw new Error(`say which port of the application serves it, such as ${host}:8080`);
  return { ...place, port: target };
};
