/**
 * A daemon from its first line to its last. Opening: claim the directories, open the registry, take hold of the network and
 * of what an earlier daemon left, listen. Closing: stop listening and let go; applications run on, sleepers stay wakeable by the next.
 */
import { mkdirSync, rmSync } from 'node:fs';
import type { Server } from 'node:http';
import { join } from 'node:path';
import { openNames, publish, recover } from '../application/index.ts';
import { AppShotError } from '../common/index.ts';
import type { Logger } from '../common/index.ts';
import { warmUp } from '../environments/index.ts';
import type { Workshop } from '../environments/index.ts';
import { Layout } from '../snapshots/index.ts';
import { assemble } from './assembly.ts';
import { claim } from './claim.ts';
import { makeApi } from './http.ts';
import type { Services } from './http.ts';
import type { DaemonOptions } from './options.ts';
import { SOCKET_NAME, listenAt } from './socket.ts';

/** How often logs are looked at. */
const UPKEEP_MS = 60_000;

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
      services.house.roster.onChange(() => {
        publish(services.house);
        services.house.outside?.tellSoon();
        return services.sites.change();
      });
      publish(services.house);
      services.house.outside?.tellSoon();
      services.house.networks.listen((address) => services.applications.wanted(address));
      await services.sites.open();
      const api = makeApi(services);
      const server = await listenAt(options.runDir, options.group, (request) => api.fetch(request));
      const daemon = new Daemon(services, shop, server, options.runDir, release);
      daemon.#fillPool();
      services.scheduler.open();
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
    const { house, scheduler, sites, applications } = this.#services;
    scheduler.close();
    clearInterval(this.#upkeep);
    await closeServer(this.#server, deadline);
    rmSync(this.#socket, { force: true });
    await house.names.close();
    const empty = (await house.registry.list()).length === 0;
    await sites.close({ end: empty });
    await house.networks.shut({ remove: empty });
    await applications.release();
    // What was under way has changed the roster.
    await house.roster.told();
    await house.outside?.close();
    if (empty) house.publisher?.dispose();
    else house.publisher?.close();
    await house.keeper.close();
    house.store.close();
    house.images.close();
    await house.pool.close();
    if (empty) this.#shop.guard?.dispose();
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
