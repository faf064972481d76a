/** Names: what an application is told of its own and of its name server, and whom a name stands for. */
import { readFileSync } from 'node:fs';
import { writeIdentityFiles } from '../harness/index.ts';
import { answer, resolverFile, serversOf } from '../names/index.ts';
import type { NameAnswer, NameQuestion, NamedInstance } from '../names/index.ts';
import type { NetworkPlan } from '../network/index.ts';
import type { ApplicationRecord } from '../registry/index.ts';
import type { House } from './context.ts';
import { identityOf } from './identity.ts';
import { networkOf, serviceOf } from './roster.ts';

/** The machine's own name servers. */
const RESOLVER = '/etc/resolv.conf';

/** Writes the files by which an application knows itself, and where it asks for others. */
export const tellNames = (house: House, record: ApplicationRecord): void => {
  const { gateway } = house.networks.of(record.address).bridge;
  const { upper } = house.layout.application(record.aid);
  writeIdentityFiles(upper, identityOf(record), resolverFile(gateway, networkOf(record)));
};

/** Whom a name stands for. */
export const namedInstance = (record: ApplicationRecord): NamedInstance => ({
  name: record.name,
  hostname: record.hostname,
  service: serviceOf(record),
  network: networkOf(record),
  address: record.address,
});

/** What a question that is asked in a network is answered with. */
export const resolveName = (
  { roster, networks }: Pick<House, 'roster' | 'networks'>,
  question: NameQuestion,
  network: string,
): NameAnswer =>
  answer(roster.instances.map(namedInstance), question, {
    name: network,
    cidr: networks.cidrOf(network),
  });

/** Where names of others are asked for by a network that may reach the outside. */
const outside = (gateways: readonly string[]): string[] => {
  try {
    return serversOf(readFileSync(RESOLVER, 'utf8'), gateways);
  } catch {
    return [];
  }
};

/** Begins to answer the questions of a network. What cannot be answered is told in the log: the network is of use without names. */
export const openNames = async ({ names, networks, log }: House, plan: NetworkPlan): Promise<void> => {
  const gateways = networks.plans.map(({ name }) => networks.named(name).bridge.gateway);
  const { gateway } = networks.named(plan.name).bridge;
  await names
    .open(plan.name, gateway, { forwardTo: plan.outgoing ? outside(gateways) : [] })
    .catch((err: unknown) => log.error({ err, network: plan.name }, 'names cannot be answered'));
};
