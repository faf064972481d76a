/**
 * The network of a running application beside a bare veth on a bridge, from the same client's namespace: nothing of AppShot's is
 * in the path, so the two must not differ. Both servers are in control groups, since those have a cost that is not the network's.
 */
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Cgroups } from '../src/environments/index.ts';
import { launch } from '../test/support/application.ts';
import { eventually } from '../test/support/eventually.ts';
import { attached, makeBridge } from './bare-bridge.ts';
import type { Bench, Part } from './bench.ts';
import { compared, figure } from './figures.ts';
import type { Figure, Samples } from './figures.ts';
import { askMany, httpGet } from './request.ts';
import { median } from './statistics.ts';

/** Turns that the two places take within one sample, so that noise that lasts longer than a moment meets both. */
const TURNS = 8;
const REQUESTS = 250;
const AMOUNT = '160M';
/** Within 5 percent. */
const LATENCY_LIMIT = 1.05;
const THROUGHPUT_LIMIT = 0.95;
const BARE_ADDRESS = '10.98.1.1';

const COUNTER = fileURLToPath(new URL('../test/fixtures/counter.js', import.meta.url));

/** One thing to measure of a server, which AppShot runs as well as the bare bridge. */
interface Measure {
  readonly name: string;
  readonly unit: string;
  readonly moreIsBetter: boolean;
  readonly limit: number;
  readonly command: readonly string[];
  take(bench: Bench, address: string): Promise<readonly number[]>;
}

const latency: Measure = {
  name: 'request latency',
  unit: 'µs',
  moreIsBetter: false,
  limit: LATENCY_LIMIT,
  command: [process.execPath, COUNTER, '8080'],
  take: async ({ lab }, address) => {
    const each = await askMany(lab.namespace.inside(address, 8080), httpGet('/state'), REQUESTS);
    return each.map((ms) => ms * 1000);
  },
};

const throughput: Measure = {
  name: 'throughput of one stream',
  unit: 'Gbit/s',
  moreIsBetter: true,
  limit: THROUGHPUT_LIMIT,
  command: ['iperf3', '--server'],
  take: async ({ lab }, address) => {
    const { stdout } = await lab.exec('iperf3', ['--client', address, '--bytes', AMOUNT, '--json']);
    const result = JSON.parse(stdout) as { end: { sum_received: { bits_per_second: number } } };
    return [result.end.sum_received.bits_per_second / 1e9];
  },
};

interface Server {
  readonly address: string;
  end(): Promise<void>;
}

/** The server without AppShot, in a network namespace and control groups of its own. */
const startBare = async ({ lab }: Bench, { command }: Measure): Promise<Server> => {
  const cgroups = Cgroups.open(`appshot-bench-${process.pid}`, join(lab.directory, 'cgroups'));
  const attachment = { link: 'bare0', address: BARE_ADDRESS, cgroups: cgroups.create('bare') };
  const server = await lab.talk('unshare', ['--net', ...attached(lab, attachment, command)]);
  return {
    address: BARE_ADDRESS,
    end: async () => {
      await server.close();
      await cgroups.emptied('bare');
      cgroups.remove('bare');
      cgroups.close();
      await lab.exec('ip', ['link', 'delete', 'bare0'], { acceptExit: [0, 1] });
    },
  };
};

const startApplication = async ({ lab }: Bench, { command }: Measure): Promise<Server> => {
  const app = await launch(lab, 'server', { command });
  return { address: app.address, end: app.remove };
};

/** One sample of each server: the median of all that was taken in their turns, which begin with another one each time. */
const sampleBoth = async (bench: Bench, measure: Measure, servers: readonly Server[]): Promise<number[]> => {
  const taken = servers.map((): number[] => []);
  for (let turn = 0; turn < TURNS; turn++)
    for (const offset of servers.keys()) {
      const which = (turn + offset) % servers.length;
      taken[which]?.push(...(await measure.take(bench, servers[which]?.address ?? '')));
    }
  return taken.map(median);
};

const compare = async (bench: Bench, measure: Measure): Promise<Figure[]> => {
  const servers = [await startApplication(bench, measure), await startBare(bench, measure)];
  for (const { address } of servers) await eventually(() => measure.take(bench, address));
  const [application, bare]: [number[], number[]] = [[], []];
  for (let sample = 0; sample < bench.samples; sample++) {
    const [one = 0, other = 0] = await sampleBoth(bench, measure, servers);
    application.push(one);
    bare.push(other);
  }
  for (const server of servers) await server.end();
  const { unit, moreIsBetter, limit } = measure;
  const samples = (name: string, values: readonly number[]): Samples => ({
    name: `${measure.name}, ${name}`,
    unit,
    values,
    moreIsBetter,
  });
  const beside = samples('bare veth', bare);
  return [compared(samples('running application', application), beside, limit), figure(beside)];
};

export const network: Part = {
  name: 'network',
  title: 'The network of a running application, beside a bare veth',
  measure: async (bench) => {
    await makeBridge(bench.lab);
    return [...(await compare(bench, latency)), ...(await compare(bench, throughput))];
  },
};
