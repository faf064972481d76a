/**
 * A daemon from its first line to its last. Opening: claim the directories, open the registry, take hold of the network and
 * of what an earlier daemon left, listen. Closing: stop listening and let go; applications run on, sleepers stay wakeable by the next.
 */
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, rmSync, statfsSync } from 'node:fs';
import type { Server } from 'node:http';
import { dirname, join } from 'node:path';
import { DEFAULT_NETWORK, VERSION } from '../api/index.ts';
import {
  Applications,
  Faults,
  History,
  Keeper,
  NetworkList,
  Roster,
  Templates,
  Transfers,
  knownAddress,
  openNames,
  publish,
  recover,
  resolveName,
} from '../application/index.ts';
import type { House, KeeperOptions } from '../application/index.ts';
import { AppShotError, KeyedLock, createLogger } from '../common/index.ts';
import type { Logger } from '../common/index.ts';
import { Schema, defaultEngineDir, loadEngine } from '../criu/index.ts';
import {
  Cgroups,
  LayerImages,
  Maker,
  Pool,
  SKELETON_NAME,
  hasGuard,
  makeProbes,
  warmUp,
} from '../environments/index.ts';
import type { Workshop } from '../environments/index.ts';
import { NetlinkSocket } from '../kernel/index.ts';
import { NameServer } from '../names/index.ts';
import { Networks, PortGuard, Publisher, preparePort } from '../network/index.ts';
import { openSqliteRegistry } from '../registry/index.ts';
import { Scheduler } from '../scheduler/index.ts';
import { Layout, ObjectStore, SnapshotStore } from '../snapshots/index.ts';
import { claim } from './claim.ts';
import { Events } from './events.ts';
import { makeApi } from './http.ts';
import type { Services } from './http.ts';
import { Metrics } from './metrics.ts';
import type { DaemonOptions } from './options.ts';
import { SOCKET_NAME, listenAt } from './socket.ts';

const POOL_SIZE = 2;
/** Where dumps go first: memory, on all but the strangest machines. */
const STAGE_PARENT = '/dev/shm';
/** How often logs are looked at. */
const UPKEEP_MS = 60_000;

/** Six characters that tell this daemon's links, rules and groups from those of others: from its run directory. */
const instanceOf = (runDir: string): string => createHash('sha256').update(runDir).digest('hex').slice(0, 6);

export class Daemon {
  readonly #services: Services;
  readonly #shop: Workshop;
  readonly #log: Logger;
  readonly #server: Server;
  readonly #socket: string;
  readonly #upkeep: NodeJS.Timeout;
  readonly #release: (() => void)[];

  private constructor(
    services: Services,
    shop: Workshop,
    server: Server,
    runDir: string,
    release: (() => void)[],
  ) {
    this.#services = services;
    this.#shop = shop;
    this.#log = services.house.log;
    this.#server = server;
    this.#socket = join(runDir, SOCKET_NAME);
    this.#release = release;
    const boundLogs = (): Promise<void> =>
      services.applications
        .boundLogs()
        .catch((err: unknown) => this.#log.error({ err }, 'a log could not be cut'));
    this.#upkeep = setInterval(() => void boundLogs(), UPKEEP_MS);
  }

  /** Resolves when it answers. Fails with `NOT_ROOT`, `DAEMON_RUNNING`, `BAD_NETWORK`, `ENGINE_MISSING`, `REGISTRY_CORRUPT`, ... */
  static async open(options: DaemonOptions): Promise<Daemon> {
    if (process.getuid?.() !== 0) throw new AppShotError('NOT_ROOT', { what: 'the daemon' });
    const layout = makeDirectories(options);
    const release = [await claim(options.runDir)];
    try {
      release.push(await claim(options.dataDir));
      const { services, shop } = await assemble(options, layout);
      await recover(services.house, services.applications);
      await services.house.keeper.resume();
      for (const plan of services.house.networks.plans) await openNames(services.house, plan);
      services.house.roster.onChange(() => publish(services.house));
      publish(services.house);
      services.house.networks.listen((address) => void services.applications.wanted(address));
      const api = makeApi(services);
      const server = await listenAt(options.runDir, options.group, (request) => api.fetch(request));
      const daemon = new Daemon(services, shop, server, options.runDir, release);
      daemon.#fillPool();
      await services.scheduler.look();
      return daemon;
    } catch (error) {
      release.forEach((one) => one());
      throw error;
    }
  }

  /** In the background: nobody waits for it, and what needs an environment before then makes its own. */
  #fillPool(): void {
    const { house } = this.#services;
    const fill = async (): Promise<void> => {
      const scout = await house.pool.take();
      await warmUp(this.#shop, house.schema, scout);
      await house.pool.discard(scout);
    };
    fill()
      .catch((err: unknown) => this.#log.warn({ err }, 'the engine could not be warmed up'))
      .finally(() => void house.pool.refill());
  }

  /** Lets go of everything; with a `deadline` in ms after which open requests are cut off. */
  async close(deadline: number): Promise<void> {
    const { house, scheduler, applications } = this.#services;
    scheduler.close();
    clearInterval(this.#upkeep);
    await closeServer(this.#server, deadline);
    rmSync(this.#socket, { force: true });
    await house.names.close();
    const empty = (await house.registry.list()).length === 0;
    if (empty) house.publisher?.dispose();
    else house.publisher?.close();
    await house.networks.shut({ remove: empty });
    await applications.release();
    await house.keeper.close();
    house.store.close();
    house.images.close();
    await house.pool.close();
    await this.#shop.maker.close();
    this.#shop.cgroups.close();
    await house.registry.close();
    this.#release.forEach((one) => one());
  }
}

const closeServer = async (server: Server, deadline: number): Promise<void> => {
  const cut = setTimeout(() => server.closeAllConnections(), deadline);
  await new Promise<void>((resolve) => {
    server.close(() => resolve());
    server.closeIdleConnections();
  });
  clearTimeout(cut);
};

const makeDirectories = ({ dataDir, runDir }: DaemonOptions): Layout => {
  const layout = new Layout(dataDir);
  // What applications wrote and remembered is nobody else's to read.
  for (const path of [dataDir, layout.applications, layout.templates, layout.snapshots])
    mkdirSync(path, { recursive: true, mode: 0o700 });
  mkdirSync(runDir, { recursive: true, mode: 0o755 });
  return layout;
};

const versionOf = ({ engine, networks, layout }: House): Services['version'] => ({
  version: VERSION,
  engine: engine.version,
  pid: process.pid,
  network: networks.cidrOf(),
  dataDir: dirname(layout.registry),
});

/** What environments are made with. */
const makeShop = (
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

const openNetworks = async (
  options: DaemonOptions,
  { registry, log, instance }: Pick<House, 'registry' | 'log'> & { instance: string },
): Promise<{ networks: Networks; netlink: NetlinkSocket }> => {
  const netlink = NetlinkSocket.open();
  const known = (await registry.list()).map(knownAddress);
  const own = { name: DEFAULT_NETWORK, number: 0, cidr: options.network, outgoing: false };
  const plans = [own, ...(await registry.listNetworks())];
  return { netlink, networks: new Networks({ netlink, instance, log, plans, known }) };
};

/** Of an interface's name, which has 15 characters at most, eight are the environment's. */
const openGuard = (instance: string, log: Logger): Pick<Workshop, 'guard' | 'linkPrefix'> => {
  const linkPrefix = `asv${instance.slice(0, 4)}`;
  const reason = PortGuard.obstacle();
  if (reason === undefined)
    return { linkPrefix, guard: new PortGuard(`appshot_${instance}_guard`, linkPrefix) };
  log.warn({ reason }, 'applications are not held to their own addresses');
  return { linkPrefix, guard: undefined };
};

const openPublisher = (instance: string, log: Logger): Publisher | undefined => {
  const reason = Publisher.obstacle();
  if (reason === undefined) return new Publisher({ table: `appshot_${instance}_ports` });
  log.warn({ reason }, 'no ports can be published');
  return undefined;
};

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
const openKeeping = async (
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

const pastOf = (
  house: House,
  applications: Applications,
): Pick<Services, 'history' | 'templates' | 'transfers' | 'networks'> => {
  const templates = new Templates(house, applications);
  return {
    templates,
    networks: new NetworkList(house),
    history: new History(house, applications),
    transfers: new Transfers(house, applications, templates),
  };
};

const assemble = async (
  options: DaemonOptions,
  layout: Layout,
): Promise<{ services: Services; shop: Workshop }> => {
  const log = createLogger({ level: options.logLevel });
  const engineDirectory = options.engineDir ?? defaultEngineDir();
  const engine = loadEngine(engineDirectory);
  const registry = await openSqliteRegistry(layout.registry);
  const instance = instanceOf(options.runDir);
  const { networks, netlink } = await openNetworks(options, { registry, log, instance });
  const cgroups = Cgroups.open(`appshot-${instance}`, join(options.runDir, 'cgroup'));
  const shop = makeShop(options, engine, {
    cgroups,
    netlink,
    prepare: preparePort,
    ...openGuard(instance, log),
  });
  const events = new Events();
  const keeping = await openKeeping(
    options,
    layout,
    { instance, engine, registry, log },
    (record, { id, bytes }) => house.emit('kept', record, { data: { snapshot: id, bytes } }),
  );
  const pool = new Pool(shop, registry, log, options.pool ?? POOL_SIZE);
  const house: House = {
    registry,
    pool,
    networks,
    names: new NameServer({ resolve: (question, network) => resolveName(house, question, network), log }),
    roster: new Roster(await registry.list()),
    publisher: openPublisher(instance, log),
    ...keeping,
    images: new LayerImages(),
    layout,
    engine,
    engineDirectory,
    schema: Schema.load(engine.descriptors),
    hidden: [options.dataDir, options.runDir],
    processesIn: (id) => cgroups.processes(id),
    memberFiles: (id) => cgroups.memberFiles(id),
    limit: (id, limits) => cgroups.limit(id, limits),
    log,
    faults: new Faults(process.env['APPSHOT_FAULT'], engine),
    emit: (type, record, extra = {}) => {
      house.roster.apply(type, record);
      events.emit(type, record, extra);
      metrics.count(type, extra.data);
      if (type === 'running' && record.spec.idle !== undefined) void scheduler.look();
    },
  };
  const applications = new Applications(house);
  const scheduler = new Scheduler({ applications, usage: (id) => cgroups.usage(id), log });
  const metrics = new Metrics(applications, pool);
  return {
    services: {
      house,
      applications,
      ...pastOf(house, applications),
      cgroups,
      scheduler,
      events,
      metrics,
      version: versionOf(house),
    },
    shop,
  };
};
