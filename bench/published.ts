/**
 * A published port beside the same server's own address, for clients on this machine and elsewhere: an address that is translated by
 * the kernel must cost no more than one that is not. The two take turns, and no rule of a published port is there in the turns of
 * the other, nor does the kernel track connections then.
 */
import { writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { close, openFd, openNamespace, withNetworkNamespace } from '../src/kernel/index.ts';
import { Publisher } from '../src/network/publish.ts';
import type { PublishedPort } from '../src/network/publish-rules.ts';
import { parseNetwork } from '../src/registry/index.ts';
import { eventually } from '../test/support/eventually.ts';
import type { Inside } from '../test/support/network-namespace.ts';
import { BRIDGE, attached, beside, makeBridge } from './bare-bridge.ts';
import type { Bench, Part } from './bench.ts';
import { compared, figure } from './figures.ts';
import type { Figure, Samples } from './figures.ts';
import { ask, askMany, httpGet } from './request.ts';
import { median } from './statistics.ts';

const TURNS = 8;
const REQUESTS = 250;
const CONNECTIONS = 60;
const AMOUNT = '160M';
/** Within 5 percent. */
const LATENCY_LIMIT = 1.05;
const THROUGHPUT_LIMIT = 0.95;
const SIDE = { bridge: BRIDGE, cidr: parseNetwork('10.98.0.0/16') };
const SERVER = '10.98.1.1';
const MACHINE = '10.98.0.1';
/** The bridge of the client elsewhere, which reaches the servers by way of the lab. */
const OUTER = { bridge: 'outer', network: '10.97.0.0/16', machine: '10.97.0.1', client: '10.97.1.1' };
const PORT = 8080;
const IPERF = 5201;
/** Other ports that are published: the client's is among them. */
const OTHERS = 98;

const COUNTER = fileURLToPath(new URL('../test/fixtures/counter.js', import.meta.url));

interface Client {
  readonly name: string;
  /** The address at which it sees this machine. */
  readonly machine: string;
  inside(address: string, port: number): Inside;
  exec(command: readonly string[]): Promise<string>;
}

const here = ({ lab }: Bench): Client => ({
  name: 'on this machine',
  machine: MACHINE,
  inside: (address, port) => lab.namespace.inside(address, port),
  exec: async ([tool = '', ...args]) => (await lab.exec(tool, args)).stdout,
});

/** A client in a network namespace that a process of its own holds open. */
const elsewhere = async ({ lab }: Bench): Promise<Client & AsyncDisposable> => {
  await lab.exec('ip', ['link', 'add', OUTER.bridge, 'up', 'type', 'bridge']);
  await lab.exec('ip', ['address', 'add', `${OUTER.machine}/16`, 'dev', OUTER.bridge]);
  const attach = ['sh', beside('attach.sh'), lab.name, OUTER.bridge, 'outer0', `${OUTER.client}/16`];
  const holder = await lab.talk('unshare', ['--net', ...attach, 'sh', '-c', 'echo $$; exec sleep infinity']);
  const pid = Number((await holder.hear(/^\d+$/))[0]);
  const net = `--net=/proc/${pid}/ns/net`;
  const exec: Client['exec'] = async (command) => (await lab.exec('nsenter', [net, '--', ...command])).stdout;
  await eventually(() => exec(['ip', 'route', 'add', '10.98.0.0/16', 'via', OUTER.machine]));
  const fd = openNamespace(pid, 'net');
  return {
    name: 'elsewhere',
    machine: OUTER.machine,
    inside: (address, port) => ({
      ...lab.namespace.inside(address, port),
      lookup: (_host, _options, answer) => withNetworkNamespace(fd, () => answer(null, address, 4)),
    }),
    exec,
    [Symbol.asyncDispose]: async () => {
      close(fd);
      await holder.close();
    },
  };
};

interface Way {
  readonly name: string;
  /** Where a port of the server is to be asked for, once this way is open. */
  reach(client: Client, port: number): { address: string; port: number };
  open(): void;
  shut(): void;
}

const direct: Way = {
  name: 'direct veth',
  reach: (_client, port) => ({ address: SERVER, port }),
  open: () => undefined,
  shut: () => undefined,
};

const publishedBy = (namespace: number): Way => {
  const ports = [PORT, IPERF, ...Array.from({ length: OTHERS }, (_, index) => 9000 + index)];
  const published = ports.map((port): PublishedPort => ({
    protocol: 'tcp',
    port: port + 10_000,
    targets: [{ address: SERVER, port }],
  }));
  let publisher: Publisher | undefined;
  return {
    name: 'published port',
    reach: (client, port) => ({ address: client.machine, port: port + 10_000 }),
    open: () =>
      withNetworkNamespace(namespace, () => {
        publisher = new Publisher({ table: 'appshot_bench', bridges: BRIDGE });
        publisher.replace(published, [SIDE]);
      }),
    shut: () => publisher?.dispose(),
  };
};

interface Measure {
  readonly name: string;
  readonly unit: string;
  readonly moreIsBetter?: boolean;
  readonly limit?: number;
  take(client: Client, way: Way): Promise<readonly number[]>;
}

const STATE = httpGet('/state');
const microseconds = (ms: number): number => ms * 1000;

const MEASURES: readonly Measure[] = [
  {
    name: 'request latency',
    unit: 'µs',
    limit: LATENCY_LIMIT,
    take: async (client, way) => {
      const { address, port } = way.reach(client, PORT);
      return (await askMany(client.inside(address, port), STATE, REQUESTS)).map(microseconds);
    },
  },
  {
    name: 'request with a connection of its own',
    unit: 'µs',
    take: async (client, way) => {
      const { address, port } = way.reach(client, PORT);
      const each: number[] = [];
      for (let one = 0; one < CONNECTIONS; one++) each.push(await ask(client.inside(address, port), STATE));
      return each.map(microseconds);
    },
  },
  {
    name: 'throughput of one stream',
    unit: 'Gbit/s',
    moreIsBetter: true,
    limit: THROUGHPUT_LIMIT,
    take: async (client, way) => {
      const { address, port } = way.reach(client, IPERF);
      const args = ['--client', address, '--port', String(port), '--bytes', AMOUNT, '--json'];
      const result = JSON.parse(await client.exec(['iperf3', ...args])) as {
        end: { sum_received: { bits_per_second: number } };
      };
      return [result.end.sum_received.bits_per_second / 1e9];
    },
  },
];

/** One sample of each way: the median of all that was taken in their turns, which begin with another one each time. */
const sampleBoth = async (measure: Measure, client: Client, ways: readonly Way[]): Promise<number[]> => {
  const taken = ways.map((): number[] => []);
  for (let turn = 0; turn < TURNS; turn++)
    for (const offset of ways.keys()) {
      const which = (turn + offset) % ways.length;
      const way = ways[which] ?? direct;
      way.open();
      taken[which]?.push(...(await measure.take(client, way)));
      way.shut();
    }
  return taken.map(median);
};

const compare = async (bench: Bench, measure: Measure, client: Client, published: Way): Promise<Figure[]> => {
  const [through, without]: [number[], number[]] = [[], []];
  for (let sample = 0; sample < bench.samples; sample++) {
    const [one = 0, other = 0] = await sampleBoth(measure, client, [published, direct]);
    through.push(one);
    without.push(other);
  }
  const samples = ({ name }: Way, values: readonly number[]): Samples => ({
    name: `${measure.name}, client ${client.name}, ${name}`,
    unit: measure.unit,
    values,
    moreIsBetter: measure.moreIsBetter === true,
  });
  const other = samples(direct, without);
  return [compared(samples(published, through), other, measure.limit), figure(other)];
};

/** The two servers, in one network namespace of their own. */
const startServers = async ({ lab }: Bench): Promise<AsyncDisposable> => {
  const attachment = { link: 'bare0', address: SERVER };
  const both = `ip route add default via ${MACHINE}; iperf3 --server >/dev/null & exec "$@"`;
  const command = ['sh', '-c', both, 'sh', process.execPath, COUNTER, String(PORT)];
  const servers = await lab.talk('unshare', ['--net', ...attached(lab, attachment, command)]);
  return { [Symbol.asyncDispose]: () => servers.close() };
};

export const published: Part = {
  name: 'published',
  title: 'A published port, beside the same server at its own address',
  daemon: null,
  measure: async (bench) => {
    const namespace = openFd(bench.lab.namespace.path);
    withNetworkNamespace(namespace, () => writeFileSync('/proc/sys/net/ipv4/ip_forward', '1'));
    await makeBridge(bench.lab);
    await using _servers = await startServers(bench);
    await using other = await elsewhere(bench);
    const way = publishedBy(namespace);
    const figures: Figure[] = [];
    for (const client of [here(bench), other])
      for (const measure of MEASURES) {
        await eventually(() => measure.take(client, direct));
        figures.push(...(await compare(bench, measure, client, way)));
      }
    close(namespace);
    return figures;
  },
};
