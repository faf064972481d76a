/** A daemon's parts, put together: each is given what it needs, and hears of what happens from `emit`. */
import { dirname, join } from 'node:path';
import { VERSION } from '../api/index.ts';
import {
  Applications,
  Faults,
  History,
  NetworkList,
  Roster,
  Sites,
  Templates,
  Transfers,
  resolveName,
} from '../application/index.ts';
import type { House } from '../application/index.ts';
import { createLogger } from '../common/index.ts';
import type { Logger } from '../common/index.ts';
import { Schema, defaultEngineDir, loadEngine } from '../criu/index.ts';
import { Cgroups, LayerImages, Pool } from '../environments/index.ts';
import type { Workshop } from '../environments/index.ts';
import { NameServer } from '../names/index.ts';
import { preparePort } from '../network/index.ts';
import { openSqliteRegistry } from '../registry/index.ts';
import type { Registry } from '../registry/index.ts';
import { Arrivals, Scheduler } from '../scheduler/index.ts';
import type { Layout } from '../snapshots/index.ts';
import { Events } from './events.ts';
import type { Services } from './http.ts';
import { Metrics } from './metrics.ts';
import {
  instanceOf,
  makeShop,
  openGateway,
  openGuard,
  openKeeping,
  openNetworks,
  openOutside,
  openPublisher,
} from './open.ts';
import type { DaemonOptions } from './options.ts';

const POOL_SIZE = 2;

/** What everything else stands on. */
interface Ground {
  readonly options: DaemonOptions;
  readonly layout: Layout;
  readonly log: Logger;
  readonly registry: Registry;
  readonly shop: Workshop;
  readonly engineDirectory: string;
  readonly engine: House['engine'];
  readonly networks: House['networks'];
  readonly instance: string;
}

const lay = async (options: DaemonOptions, layout: Layout): Promise<Ground> => {
  const log = createLogger({ level: options.logLevel });
  const engineDirectory = options.engineDir ?? defaultEngineDir();
  const engine = loadEngine(engineDirectory);
  const registry = await openSqliteRegistry(layout.registry);
  const instance = instanceOf(options.runDir);
  const { networks, netlink } = await openNetworks(options, { registry, log, instance });
  const cgroups = Cgroups.open(`appshot-${instance}`, join(options.runDir, 'cgroup'));
  const guarded = openGuard(instance, log);
  const shop = makeShop(options, engine, { cgroups, netlink, prepare: preparePort, ...guarded });
  return { options, layout, log, registry, shop, engineDirectory, engine, networks, instance };
};

const build = async (ground: Ground, emit: House['emit']): Promise<House> => {
  const { options, log, registry, shop, engine, engineDirectory, networks, instance, layout } = ground;
  const { cgroups } = shop;
  const house: House = {
    registry,
    pool: new Pool(shop, registry, log, options.pool ?? POOL_SIZE),
    networks,
    names: new NameServer({
      resolve: (question, network) => resolveName(house, question, network),
      mayAsk: (address, network) => networks.isNear(network, address),
      log,
    }),
    outside: openOutside(options, log, () => house.roster.instances),
    roster: new Roster(await registry.list()),
    publisher: openPublisher(instance, log),
    gateway: await openGateway(options, log),
    ...(await openKeeping(options, layout, { instance, engine, registry, log }, (record, { id, bytes }) =>
      emit('kept', record, { data: { snapshot: id, bytes } }),
    )),
    images: new LayerImages(),
    layout,
    engine,
    engineDirectory,
    schema: Schema.load(engine.descriptors),
    hidden: [options.dataDir, options.runDir],
    processesIn: (id) => cgroups.processes(id),
    memberFiles: (id) => cgroups.memberFiles(id),
    memoryOf: (id) => cgroups.held(id),
    limit: (id, limits) => cgroups.limit(id, limits),
    log,
    faults: new Faults(process.env['APPSHOT_FAULT'], engine),
    emit,
  };
  return house;
};

const versionOf = ({ engine, networks, layout }: House): Services['version'] => ({
  version: VERSION,
  engine: engine.version,
  pid: process.pid,
  network: networks.cidrOf(),
  dataDir: dirname(layout.registry),
});

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

/** Fails as opening any of the parts does. */
export const assemble = async (
  options: DaemonOptions,
  layout: Layout,
): Promise<{ services: Services; shop: Workshop }> => {
  const ground = await lay(options, layout);
  const { shop } = ground;
  const events = new Events();
  const house = await build(ground, (type, record, extra = {}) => {
    house.roster.apply(type, record);
    events.emit(type, record, extra);
    metrics.count(type, extra.data);
  });
  const applications = new Applications(house);
  const { cgroups } = shop;
  const past = pastOf(house, applications);
  const { templates } = past;
  const arrivals = new Arrivals(shop.guard && (() => shop.guard?.heard() ?? new Map()));
  const gauges = { cpu: (id: string) => cgroups.cpu(id), held: (id: string) => cgroups.held(id), arrivals };
  const sites = new Sites(house, options.web ?? {});
  const loads = house.gateway && (() => sites.loads());
  const scheduler = new Scheduler({ house, applications, templates, gauges, loads, memory: options.memory });
  const metrics = new Metrics(applications, house.pool);
  const version = versionOf(house);
  return {
    services: { house, applications, ...past, cgroups, scheduler, sites, events, metrics, version },
    shop,
  };
};
