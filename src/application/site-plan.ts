/**
 * Which site of the web gateway leads to which instances. A site belongs to a service and one port of its instances: whoever of the
 * service has any site at that port answers for all of them there.
 */
import { siteName } from '../api/index.ts';
import type { SiteSpec } from '../api/index.ts';
import { AppShotError } from '../common/index.ts';
import { siteFault } from '../gateway/index.ts';
import type { Backend, Site } from '../gateway/index.ts';
import type { ApplicationRecord } from '../registry/index.ts';
import type { House } from './context.ts';
import { readiest } from './readiness.ts';
import { serviceOf } from './roster.ts';

const sitesOf = ({ spec }: Pick<ApplicationRecord, 'spec'>): readonly SiteSpec[] => spec.sites ?? [];

const keyOf = (service: string, port: number): string => `${service}:${port}`;

/** The service whose instances, at one port, have this key. */
export const serviceOfKey = (key: string): string => key.slice(0, key.lastIndexOf(':'));

const backendsOf = (port: number, records: readonly ApplicationRecord[], open: ReadonlySet<string>) => {
  const asked = new Set(readiest(records.filter(({ aid }) => open.has(aid))).map(({ aid }) => aid));
  return records.map(({ aid, address }): Backend => ({ name: aid, address, port, awake: asked.has(aid) }));
};

/** What the oldest of a service says that says anything. */
const concurrencyOf = (records: readonly ApplicationRecord[]): number | undefined =>
  records
    .map(({ spec }) => spec.policy?.instances?.concurrency)
    .find((concurrency) => concurrency !== undefined);

/**
 * What the gateway is to serve, the oldest instance's sites first. Only those of `serving` get requests; the others of `instances` end
 * those that they have, and are measured meanwhile. Pure.
 */
export const planSites = (
  instances: readonly ApplicationRecord[],
  serving: readonly ApplicationRecord[],
): Site[] => {
  const open = new Set(serving.map(({ aid }) => aid));
  const crews = new Map<string, { port: number; records: ApplicationRecord[] }>();
  const places = new Map<string, SiteSpec & { service: string }>();
  for (const record of instances.filter((one) => sitesOf(one).length > 0).toSorted(byAge))
    for (const site of sitesOf(record)) {
      const service = keyOf(serviceOf(record), site.port);
      const crew = crews.get(service) ?? { port: site.port, records: [] };
      crews.set(service, crew);
      if (crew.records.at(-1) !== record) crew.records.push(record);
      const place = siteName(site);
      if (!places.has(place)) places.set(place, { ...site, service });
    }
  const parts = new Map(
    [...crews].map(([service, { port, records }]) => {
      const concurrency = concurrencyOf(records);
      const bound = concurrency !== undefined && { concurrency };
      return [service, { service, backends: backendsOf(port, records, open), ...bound }];
    }),
  );
  return [...places.values()].map(({ host, path, service }) => ({
    ...{ host, service, backends: [], ...parts.get(service) },
    ...(path !== undefined && { path }),
  }));
};

const byAge = (one: ApplicationRecord, other: ApplicationRecord): number =>
  one.createdAt < other.createdAt ? -1 : one.createdAt > other.createdAt ? 1 : one.aid < other.aid ? -1 : 1;

/** Who has the site already: another service, or this one at another port. */
const ownerOf = (
  site: SiteSpec,
  service: string,
  instances: readonly ApplicationRecord[],
): string | undefined => {
  for (const other of instances) {
    const same = sitesOf(other).find((one) => siteName(one) === siteName(site));
    if (same === undefined) continue;
    if (serviceOf(other) !== service) return `the service ${serviceOf(other)}`;
    if (same.port !== site.port) return `port ${same.port} of the service ${service}`;
  }
  return undefined;
};

/** Fails with `GATEWAY_OFF`, `BAD_SITE`, and `SITE_TAKEN` when a site is another service's. */
export const checkSites = (
  { gateway, roster }: Pick<House, 'gateway' | 'roster'>,
  record: Pick<ApplicationRecord, 'name' | 'spec'>,
): void => {
  for (const site of sitesOf(record)) {
    const fault = siteFault(site.host, site.path);
    if (fault !== undefined) throw new AppShotError('BAD_SITE', { host: site.host, reason: fault });
    if (!gateway) throw new AppShotError('GATEWAY_OFF', { site: siteName(site) });
    const owner = ownerOf(site, serviceOf(record), roster.instances);
    if (owner !== undefined) throw new AppShotError('SITE_TAKEN', { site: siteName(site), owner });
  }
};
