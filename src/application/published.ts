/**
 * Published ports (virtual port multiplexing, mission C4): which instances a port of this machine leads to, at each change of the roster.
 *
 * Connections go to the instances that run; when none does, to one that is frozen or asleep, which then is the only one that wakes.
 */
import { collide } from '../api/index.ts';
import type { PublishSpec } from '../api/index.ts';
import { AppShotError } from '../common/index.ts';
import { Publisher, forward, portInUse } from '../network/index.ts';
import type { PublishedPort, Side } from '../network/index.ts';
import type { ApplicationRecord } from '../registry/index.ts';
import type { House } from './context.ts';
import { readiest } from './readiness.ts';
import { networkOf, serviceOf } from './roster.ts';
import { checkSites } from './site-plan.ts';

const keyOf = ({ protocol, address = '0.0.0.0', port }: PublishSpec): string =>
  `${protocol} ${address} ${port}`;

/** What is published by whom. Pure. */
export const publishedPorts = (instances: readonly ApplicationRecord[]): PublishedPort[] => {
  const offers = new Map<string, { spec: PublishSpec; by: ApplicationRecord[] }>();
  for (const instance of instances)
    for (const spec of instance.spec.publish ?? []) {
      const key = keyOf(spec);
      const offer = offers.get(key) ?? { spec, by: [] };
      offer.by.push(instance);
      offers.set(key, offer);
    }
  return [...offers].map(
    ([
      key,
      {
        spec: { port, protocol, address },
        by,
      },
    ]) => ({
      port,
      protocol,
      ...(address !== undefined && { address }),
      targets: readiest(by).map((record) => ({
        address: record.address,
        port: record.spec.publish?.find((one) => keyOf(one) === key)?.target ?? port,
      })),
    }),
  );
};

/** Fails with `PORT_TAKEN` when a port is another service's, or a program of this machine has it. */
const checkPublished = (
  { roster, publisher }: House,
  record: Pick<ApplicationRecord, 'name' | 'spec'>,
): void => {
  if (!record.spec.publish?.length) return;
  if (!publisher)
    throw new AppShotError('PORTS_UNAVAILABLE', { reason: Publisher.obstacle() ?? 'the kernel refused' });
  const service = serviceOf(record);
  for (const wanted of record.spec.publish ?? []) {
    const [port, place] = [`${wanted.port}/${wanted.protocol}`, wanted.address ?? 'this machine'];
    const taker = roster.instances.find(
      (other) => serviceOf(other) !== service && other.spec.publish?.some((one) => collide(one, wanted)),
    );
    if (taker) throw new AppShotError('PORT_TAKEN', { port, owner: `the service ${serviceOf(taker)}` });
    const mine = roster.instances.some((other) => other.spec.publish?.some((one) => collide(one, wanted)));
    const program = mine ? undefined : portInUse(wanted.protocol, wanted.address, wanted.port);
    if (program !== undefined)
      throw new AppShotError('PORT_TAKEN', {
        port,
        owner: `a program that listens at ${program} of ${place}`,
      });
  }
};

/**
 * Registers applications of a service with the ports and sites that lead to them, and nobody else meanwhile. Fails with `PORT_TAKEN`,
 * `PORTS_UNAVAILABLE`, `SITE_TAKEN` and `GATEWAY_OFF`, and as `register` does.
 */
export const registerPublished = async <T extends ApplicationRecord | ApplicationRecord[]>(
  house: House,
  record: Pick<ApplicationRecord, 'name' | 'spec'>,
  register: () => Promise<T>,
): Promise<T> => {
  const { publish: ports = [], sites = [] } = record.spec;
  if (ports.length + sites.length === 0) return register();
  return house.lock.run('published', 'publishing', async () => {
    checkPublished(house, record);
    checkSites(house, record);
    const registered = await register();
    for (const one of [registered].flat()) house.roster.apply('registered', one);
    return registered;
  });
};

/** Networks of those that publish something. */
const sidesOf = ({ networks }: House, instances: readonly ApplicationRecord[]): Side[] => {
  const names = new Set(instances.filter(({ spec }) => spec.publish?.length).map(networkOf));
  return [...names].map((name) => {
    const { bridge } = networks.named(name);
    return { bridge: bridge.names.bridge, cidr: bridge.cidr };
  });
};

/** Makes the kernel's rules what the roster says. What fails is told in the log: it is tried again at the next change. */
export const publish = (house: House): void => {
  const { publisher, roster, log } = house;
  try {
    const ports = publishedPorts(roster.serving);
    if (ports.length > 0) forward();
    publisher?.replace(ports, sidesOf(house, roster.instances));
  } catch (err) {
    log.error({ err }, 'published ports could not be changed');
  }
};
