/** What a daemon opens before there is anything to do: networks, the kernel's rules, what keeps snapshots. */
import { createHash } from 'node:crypto';
import { existsSync, statfsSync } from 'node:fs';
import { join } from 'node:path';
import { DEFAULT_NETWORK } from '../api/index.ts';
import { Keeper, OutsideNames, knownAddress } from '../application/index.ts';
import type { House, KeeperOptions } from '../application/index.ts';
import { KeyedLock } from '../common/index.ts';
import type { Logger } from '../common/index.ts';
import { Maker, SKELETON_NAME, hasGuard, makeProbes } from '../environments/index.ts';
import type { Workshop } from '../environments/index.ts';
import { Gateway, HAPROXY } from '../gateway/index.ts';
import { NetlinkSocket } from '../kernel/index.ts';
import { HostsFile } from '../names/index.ts';
import { Networks, PortGuard, Publisher } from '../network/index.ts';
import { ObjectStore, SnapshotStore } from '../snapshots/index.ts';
import type { Layout } from '../snapshots/index.ts';
import type { DaemonOptions } from './options.ts';

/** Where dumps go first: memory, on all but the strangest machines. */
const STAGE_PARENT = '/dev/shm';

/** Six characters that tell this daemon's links, rules and groups from those of others: from its run directory. */
export const instanceOf = (runDir: string): string =>
  createHash('sha256').update(runDir).digest('hex').slice(0, 6);

/** What environments are made with. */
export const makeShop = (
  options: DaemonOptions,
  { init, command }: House['engine'],
  common: Pick<Workshop, 'cgroups' | 'netlink' | 'prepare' | 'guard' | 'linkPrefix'>,
): Workshop => ({
  ...common,
  directory: join(options.runDir, 'env'),
  init,
  engine: command,
  maker: new Maker({
    init,
    engine: command,
    skeleton: join(options.runDir, 'env', SKELETON_NAME),
    probes: makeProbes(),
  }),
});

export const openNetworks = async (
  options: DaemonOptions,
  { registry, log, instance }: Pick<House, 'registry' | 'log'> & { instance: string },
): Promise<{ networks: Networks; netlink: NetlinkSocket }> => {
  const netlink = NetlinkSocket.open();
  const known = (await registry.list()).map(knownAddress);
  const own = { name: DEFAULT_NETWORK, number: 0, cidr: options.network, outgoing: false };
  const plans = [own, ...(await registry.listNetworks())];
  const { http, https } = options.web ?? {};
  const web = [http, https].filter((one) => one !== undefined);
  return { netlink, networks: new Networks({ netlink, instance, log, plans, known, web }) };
};

/** Of an interface's name, which has 15 characters at most, eight are the environment's. */
export const openGuard = (instance: string, log: Logger): Pick<Workshop, 'guard' | 'linkPrefix'> => {
  const linkPrefix = `asv${instance.slice(0, 4)}`;
  const reason = PortGuard.obstacle();
  if (reason === undefined)
    return { linkPrefix, guard: new PortGuard(`appshot_${instance}_guard`, linkPrefix) };
  log.warn({ reason }, 'applications are not held to their own addresses');
  return { linkPrefix, guard: undefined };
};

export const openPublisher = (instance: string, log: Logger): Publisher | undefined => {
  const reason = Publisher.obstacle();
  if (reason === undefined)
    return new Publisher({ table: `appshot_${instance}_ports`, bridges: `asb${instance}` });
  log.warn({ reason }, 'no ports can be published');
  return undefined;
};

/** Without a gateway, one that an earlier daemon left running ends. */
export const openGateway = async ({ web, runDir }: DaemonOptions, log: Logger): Promise<House['gateway']> => {
  const gateway = new Gateway({ directory: join(runDir, 'gateway'), program: HAPROXY, log });
  if (web) return gateway;
  await gateway.close();
  return undefined;
};

/** The block in the file is this run directory's, as several daemons may share the file. */
export const openOutside = (
  { hostsFile, runDir }: DaemonOptions,
  log: Logger,
  instances: () => House['roster']['instances'],
): OutsideNames | undefined =>
  hostsFile === undefined
    ? undefined
    : new OutsideNames({ file: new HostsFile(hostsFile, runDir), instances, log });

/** `TMPFS_MAGIC` of statfs(2). */
const TMPFS = 0x01021994;

const memoryAbilities = async (
  { directory }: Layout,
  { init }: House['engine'],
): Promise<House['memory']> => {
  const lazy = existsSync('/dev/userfaultfd');
  // Reading a hole of a file there takes memory of the file system, and where none is left a signal ends who reads.
  if (statfsSync(directory).type === TMPFS)
    return { guard: false, lazy, obstacle: 'the data directory is on a tmpfs' };
  return { guard: await hasGuard(init), lazy };
};

type Keeping = Pick<House, 'store' | 'objects' | 'lock' | 'keeper' | 'memory'>;

/** What keeps snapshots, and what this machine's kernel can do for their memory. */
export const openKeeping = async (
  { retention }: DaemonOptions,
  layout: Layout,
  { instance, engine, ...common }: { instance: string } & Pick<House, 'engine' | 'registry' | 'log'>,
  emit: KeeperOptions['emit'],
): Promise<Keeping> => {
  const store = new SnapshotStore(layout, {
    stage: join(STAGE_PARENT, `appshot-${instance}`),
    descriptors: engine.descriptors,
  });
  const shared = {
    store,
    objects: new ObjectStore(layout.objects),
    lock: new KeyedLock(),
    memory: await memoryAbilities(layout, engine),
  };
  const { historyKeep: keep, historyTtlMs: ttlMs, quotaBytes } = retention;
  const keeper = new Keeper({ ...common, ...shared, retention: { keep, ttlMs, quotaBytes }, emit });
  return { ...shared, keeper };
};
