/**
 * One environment: user, PID, mount, network, UTS namespaces, devices, a cgroup, a veth pair that is up, and a waiting engine.
 *
 * It is used once. Ready, it is nobody's; it gets an application's root, name and address, and then either launches a
 * chain or restores one; when the application sleeps or ends, the environment is destroyed, and everything in it with it.
 */
import { mkdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { AppShotError } from '../common/index.ts';
import type { EngineChannel } from '../criu/index.ts';
import {
  NETLINK_SOCK_DIAG,
  NetlinkSocket,
  addAddress,
  addRoute,
  close,
  createVethPair,
  deleteLink,
  linkByName,
  openNamespace,
  setLink,
  setNeighbour,
  withNetworkNamespace,
  withoutLinkLocal,
} from '../kernel/index.ts';
import type { Cgroups } from './cgroups.ts';
import { Control } from './control.ts';
import type { ControlEvents } from './control.ts';
import type { Maker } from './maker.ts';
import type { PortGuard } from '../network/index.ts';

/** Name of the interface inside. */
const INNER_LINK = 'eth0';
/** Among the directories of environments, the one that is none. */
export const SKELETON_NAME = '.skeleton';

/** Where PID 1 places the descriptors that it passes on to the engine (native/env.c). */
export const PASSED_DESCRIPTORS = { images: 20, work: 21 } as const;

/** What all environments of a daemon have in common. */
export interface Workshop {
  /** The directory of all environments, below the run directory. */
  readonly directory: string;
  readonly cgroups: Cgroups;
  /** Netlink in the daemon's own network namespace. */
  readonly netlink: NetlinkSocket;
  /** Path of the init program, and the engine's command, as this machine sees them. */
  readonly init: string;
  readonly engine: readonly string[];
  readonly maker: Maker;
  /** The names of the outer ends of their veth pairs begin with it: seven characters that are the daemon's own. */
  readonly linkPrefix: string;
  /** Lets each send from its own address alone; undefined where the kernel cannot. */
  readonly guard: PortGuard | undefined;
  /** Called with each new environment. */
  readonly prepare: (environment: Environment) => void;
}

/** How a restarted daemon finds an environment again. */
export interface EnvironmentIdentity {
  readonly id: string;
  readonly pid: number;
  /** Start time of PID 1 in clock ticks since boot. */
  readonly startTime: number;
}

/** Both as the application knows them. */
export interface Redirect {
  readonly from: string;
  readonly to: string;
}

/** A mount for an application's root: a detached mount and where it belongs. */
export interface PlacedMount {
  readonly descriptor: number;
  readonly target: string;
}

/** Start time of a process in clock ticks since boot (`/proc/PID/stat`, field 22); undefined when there is none. */
export const startTimeOf = (pid: number): number | undefined => {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const [state, ...rest] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return state === 'Z' || state === 'X' ? undefined : Number(rest[18]);
  } catch {
    return undefined;
  }
};

const linkOf = ({ linkPrefix }: Pick<Workshop, 'linkPrefix'>, id: string): string => `${linkPrefix}${id}`;

export class Environment implements EnvironmentIdentity {
  readonly id: string;
  readonly pid: number;
  readonly startTime: number;
  readonly directory: string;
  /** Netlink inside: routes and addresses, and socket diagnosis. */
  readonly inner: NetlinkSocket;
  readonly diagnosis: NetlinkSocket;
  /** Index of the outer end of the veth pair. */
  readonly link: number;
  readonly innerLink: number;
  /** Settles when all of its memory is there; rejects when that failed, and its processes have ended. */
  filled: Promise<void> = Promise.resolve();
  readonly #shop: Workshop;
  readonly #control: Control;
  #destroyed: Promise<void> | undefined;
  #filter: Promise<Uint8Array> | undefined;

  private constructor(shop: Workshop, identity: EnvironmentIdentity, control: Control) {
    this.#shop = shop;
    this.#control = control;
    this.id = identity.id;
    this.pid = identity.pid;
    this.startTime = identity.startTime;
    this.directory = join(shop.directory, identity.id);
    const namespace = openNamespace(identity.pid, 'net');
    try {
      [this.inner, this.diagnosis] = withNetworkNamespace(namespace, () => [
        NetlinkSocket.open(),
        NetlinkSocket.open(NETLINK_SOCK_DIAG),
      ]);
      this.link = linkByName(shop.netlink, this.linkName)?.index ?? this.#connect(namespace);
    } finally {
      close(namespace);
    }
    const inner = linkByName(this.inner, INNER_LINK);
    this.innerLink = inner?.index ?? 0;
    if (inner?.up === false) withoutLinkLocal(this.inner, this.innerLink);
    setLink(this.inner, this.innerLink, { up: true });
  }

  get linkName(): string {
    return linkOf(this.#shop, this.id);
  }

  /** Makes a fresh one. Fails with `ENVIRONMENT_FAILED`, and then leaves nothing. */
  static async create(shop: Workshop, id: string): Promise<Environment> {
    const [made] = await Environment.createAll(shop, [id]);
    return made as Environment;
  }

  /** Makes fresh ones side by side, 16 at most. As `create` for all of them: when one fails, none is left. */
  static async createAll(shop: Workshop, ids: readonly string[]): Promise<Environment[]> {
    const open = async (id: string, pid: number): Promise<Environment> => {
      const made = await Environment.open(shop, { id, pid, startTime: startTimeOf(pid) ?? 0 });
      shop.prepare(made);
      return made;
    };
    const made: Environment[] = [];
    try {
      for (const id of ids) mkdirSync(join(shop.directory, id), { recursive: true });
      const pids = await shop.maker.make(
        ids.map((id) => [join(shop.directory, id), ...shop.cgroups.create(id)]),
      );
      for (const [index, id] of ids.entries()) made.push(await open(id, pids[index] ?? 0));
      return made;
    } catch (error) {
      await Promise.allSettled(made.map((environment) => environment.destroy()));
      await Promise.allSettled(ids.map((id) => Environment.clean(shop, id)));
      throw error;
    }
  }

  /** Takes hold of one that exists: just made, or left by a daemon that ended. */
  static async open(shop: Workshop, identity: EnvironmentIdentity): Promise<Environment> {
    const control = await Control.connect(join(shop.directory, identity.id));
    await control.hello.promise;
    return new Environment(shop, identity, control);
  }

  /** Ends whatever is left of an environment, known only by its ID: processes, link, cgroups, directory. */
  static async clean(shop: Workshop, id: string): Promise<void> {
    const name = linkOf(shop, id);
    shop.guard?.unbind(name);
    const link = linkByName(shop.netlink, name);
    if (link) deleteLink(shop.netlink, link.index);
    for (const pid of shop.cgroups.processes(id)) kill(pid);
    await shop.cgroups.emptied(id);
    shop.cgroups.remove(id);
    rmSync(join(shop.directory, id), { recursive: true, force: true });
  }

  #connect(namespace: number): number {
    const { netlink } = this.#shop;
    const index = createVethPair(netlink, {
      name: this.linkName,
      peerName: INNER_LINK,
      peerNamespaceFd: namespace,
    });
    withoutLinkLocal(netlink, index);
    // Off the bridge, what an application still sends must reach nobody, and this machine least of all: its answer would wake it.
    setLink(netlink, index, { up: true, strictSource: true });
    return index;
  }

  /** How far it had come when this daemon took hold of it: `ready`, `rooted`, `restoring`, `running` or `ended`. */
  async stateFound(): Promise<string> {
    return (await this.#control.hello.promise).state;
  }

  on(events: Partial<ControlEvents>): void {
    this.#control.on(events);
  }

  /**
   * Gives it the root of an application, with its mounts in their places, and its host name; then what lies below one path is covered by
   * what lies below another, for each of the redirections.
   */
  async giveRoot(
    hostname: string,
    root: number,
    mounts: readonly PlacedMount[],
    redirects: readonly Redirect[] = [],
  ): Promise<void> {
    await this.#control.call(
      [
        ...['root', hostname, ...mounts.map(({ target }) => target)],
        ...redirects.flatMap(({ from, to }) => [from, to]),
      ],
      [root, ...mounts.map(({ descriptor }) => descriptor)],
    );
  }

  /**
   * What it sends from another address, or hardware address, than these is dropped from now on. What it is asked is counted, but for
   * packets from networks that are ignored (CIDR).
   */
  bind(address: string, mac: string, ignored: readonly string[] = []): void {
    this.#shop.guard?.bind(this.linkName, { address, mac }, ignored);
  }

  /**
   * Gives it the network identity of an application. It need not ask for the gateway: off the bridge nobody would answer, and the
   * next question, a quarter of a second later, would hold back its first words. Where the gateway is never changes; what is
   * permanent does not count towards the 1,024 neighbours that all network namespaces of a machine may have between them.
   */
  giveAddress(identity: {
    address: string;
    prefix: number;
    gateway: string;
    gatewayMac: string;
    mac: string;
    ignored?: readonly string[] | undefined;
  }): void {
    const { address, prefix, gateway, gatewayMac, mac, ignored } = identity;
    this.bind(address, mac, ignored);
    setLink(this.inner, this.innerLink, { mac });
    addAddress(this.inner, this.innerLink, { address, prefix });
    addRoute(this.inner, { destination: '0.0.0.0', prefix: 0, gateway, type: 'unicast' });
    setNeighbour(this.inner, {
      index: this.innerLink,
      address: gateway,
      mac: gatewayMac,
      state: 'permanent',
    });
  }

  /**
   * Launches a chain. `lastPid` is the ID before the first process's. Returns the first process's PID inside, or what could not
   * be started: process, stage and errno.
   */
  async launch(program: string, lastPid: number, specification: Uint8Array): Promise<LaunchResult> {
    const [verdict, ...rest] = await this.#control.call(
      ['launch', program, String(lastPid)],
      [],
      specification,
    );
    if (verdict === 'ok') return { pid: Number(rest[0]) };
    const [process = '', stage = '', errno = ''] = rest;
    return { failed: { process, stage, errno: Number(errno) } };
  }

  /** What is restored next sees its clocks shifted by this much against the machine's; in nanoseconds. */
  async setClockOffsets(monotonic: bigint, boottime: bigint): Promise<void> {
    const text = (value: bigint): string => {
      const nanoseconds = ((value % 1_000_000_000n) + 1_000_000_000n) % 1_000_000_000n;
      return `${(value - nanoseconds) / 1_000_000_000n} ${nanoseconds}`;
    };
    await this.#control.call(['time', text(monotonic), text(boottime)]);
  }

  /** The engine that waits inside; descriptors are placed from 20 on. */
  get engine(): EngineChannel {
    return {
      send: async (message, descriptors = [], standing) => {
        const { tell = [], guard = false, reply = new Uint8Array() } = standing ?? {};
        const stages = [
          tell.map((stage) => `,${stage}`).join(''),
          Buffer.from(reply).toString('hex'),
          guard ? 'guard' : '',
        ];
        await this.#control.call(['engine', ...stages], descriptors, message).catch((cause: unknown) => {
          throw new AppShotError('ENGINE_FAILED', { reason: 'it ended before it was asked' }, { cause });
        });
      },
      receive: (handler) => this.#control.on({ engine: handler }),
    };
  }

  /** While the guard is held nothing is traced or changed by it: a dump can begin. Calls that it answers wait. */
  async holdGuard(): Promise<void> {
    await this.#control.call(['guard', 'hold']);
  }

  /** The filter that every restored process has: that of the program which made this environment, perhaps an older one. */
  guardFilter(): Promise<Uint8Array> {
    this.#filter ??= this.#control
      .call(['guard', 'filter'])
      .then(([, digits = '']) => Buffer.from(digits, 'hex'));
    return this.#filter;
  }

  /** Memory comes back as it is touched. */
  async guardLazily(): Promise<void> {
    await this.#control.call(['guard', 'lazy']);
  }

  /** Ends a hold, if there is one. */
  async releaseGuard(): Promise<void> {
    const [, state] = await this.#control.call(['guard', 'state']);
    if (state === 'hold') await this.#control.call(['guard', 'go']);
  }

  /** Lets the task that will be the chain's first process adopt orphans while the chain is still being restored. */
  async makeSubreaper(pid: number): Promise<void> {
    await this.#control.call(['subreaper', String(pid)]);
  }

  /** Tells PID 1 which process was restored as the chain's first, and where process IDs go on. */
  async adopt(pid: number, lastPid: number): Promise<void> {
    await this.#control.call(['adopt', String(pid), String(lastPid)]);
  }

  /** The process ID given out last, inside. */
  async lastPid(): Promise<number> {
    return Number((await this.#control.call(['last-pid']))[1]);
  }

  /** Stops everything in it, also its PID 1: until it is thawed nothing can be asked of it. */
  freeze(): Promise<void> {
    return this.#shop.cgroups.freeze(this.id);
  }

  /** Lets everything in it go on. */
  thaw(): void {
    this.#shop.cgroups.thaw(this.id);
  }

  /** Sends a signal to every process of the chain but its first, which ignores it. */
  async signal(number: number): Promise<void> {
    await this.#control.call(['signal', String(number)]);
  }

  /** Lets go of it without ending it: the next daemon finds it. */
  release(): void {
    this.#control.close();
    this.inner.close();
    this.diagnosis.close();
  }

  /** Ends every process in it at once; the network stays until it is destroyed, so that their connections end as they should. */
  async end(): Promise<void> {
    this.#kill();
    for (const pid of this.#shop.cgroups.processes(this.id)) kill(pid);
    await this.#shop.cgroups.emptied(this.id);
  }

  #kill(): void {
    if (startTimeOf(this.pid) === this.startTime) kill(this.pid);
  }

  /** Ends every process in it at once and removes all of it. Resolves when nothing is left. */
  destroy(): Promise<void> {
    this.#destroyed ??= this.#destroy();
    return this.#destroyed;
  }

  async #destroy(): Promise<void> {
    const { netlink } = this.#shop;
    const link = linkByName(netlink, this.linkName);
    if (link) deleteLink(netlink, link.index);
    this.#kill();
    await Environment.clean(this.#shop, this.id);
    this.release();
  }
}

export type LaunchResult =
  | { pid: number; failed?: never }
  | { pid?: never; failed: { process: string; stage: string; errno: number } };

const kill = (pid: number): void => {
  try {
    process.kill(pid, 'SIGKILL');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
};
