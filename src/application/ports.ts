/** What is published and by whom, and which connections the kernel brings from a first port to a second at this moment. */
import type { ConnectionView, PortsView, PublishSpec, PublishedView } from '../api/index.ts';
import type { Translation } from '../network/index.ts';
import type { ApplicationRecord } from '../registry/index.ts';
import type { House } from './context.ts';
import { publishedPorts } from './published.ts';
import { serviceOf } from './roster.ts';

const textOf = ({ address, port }: { readonly address: string; readonly port: number }): string =>
  `${address}:${port}`;

/** By protocol, address and port of this machine, and the instance's. */
const keyOf = (
  { protocol, address = '*', port }: Omit<PublishSpec, 'target'>,
  target: { readonly address: string; readonly port: number },
): string => `${protocol} ${address}:${port} ${textOf(target)}`;

/** Those to which a new connection may go. */
const takersOf = ({ roster }: Pick<House, 'roster'>): Set<string> =>
  new Set(publishedPorts(roster.serving).flatMap((one) => one.targets.map((target) => keyOf(one, target))));

const publishedBy = (record: ApplicationRecord, takers: ReadonlySet<string>): PublishedView[] =>
  (record.spec.publish ?? []).map((spec) => {
    const target = { address: record.address, port: spec.target };
    return {
      protocol: spec.protocol,
      address: spec.address ?? null,
      port: spec.port,
      service: serviceOf(record),
      aid: record.aid,
      name: record.name,
      state: record.state,
      target: textOf(target),
      takesNew: takers.has(keyOf(spec, target)),
    };
  });

const connectionOf = (
  { protocol, client, first, second, seen, state, since }: Translation,
  owner: ApplicationRecord | undefined,
): ConnectionView => ({
  protocol,
  client: textOf(client),
  first: textOf(first),
  second: textOf(second),
  seen: textOf(seen),
  state,
  since: since === undefined ? null : new Date(since).toISOString(),
  aid: owner?.aid ?? null,
  name: owner?.name ?? null,
});

/** Of one instance, or of all: by port. */
export const portsOf = (house: Pick<House, 'roster' | 'publisher'>, only?: ApplicationRecord): PortsView => {
  const instances = house.roster.instances.filter(({ aid }) => only === undefined || aid === only.aid);
  const takers = takersOf(house);
  const byAddress = new Map(house.roster.all.map((record) => [record.address, record]));
  const translations = (house.publisher?.translations() ?? []).filter(
    ({ second }) => only === undefined || second.address === only.address,
  );
  return {
    ports: instances
      .flatMap((record) => publishedBy(record, takers))
      .toSorted((a, b) => a.port - b.port || a.protocol.localeCompare(b.protocol)),
    connections: translations
      .map((one) => connectionOf(one, byAddress.get(one.second.address)))
      .toSorted((a, b) => a.first.localeCompare(b.first) || a.client.localeCompare(b.client)),
  };
};
