/**
 * The network of a running application beside a bare veth on a bridge, from the same client's namespace, in turns: nothing of AppShot's is in
 * the path, so the two must not differ.
 */
import { fileURLToPath } from 'node:url';
import { launch } from '../test/support/application.ts';
import { eventually } from '../test/support/eventually.ts';
import type { Bench, Part } from './bench.ts';
import { compared, figure } from './figures.ts';
import type { Figure, Samples } from './figures.ts';
import { attached, makeBridge } from './plain-criu.ts';
import { ask, askMany, httpGet } from './request.ts';
import { median } from './statistics.ts';

const HTTP_PORT = 8080;
const IPERF_PORT = 5201;
const QUESTION = httpGet('/state');
/** In one sample, which is their median. */
const REQUESTS = 2000;
const AMOUNT = '1G';
/** Within 5 percent. */
const LATENCY_LIMIT = 1.05;
const THROUGHPUT_LIMIT = 0.95;

const WEB = [
  process.execPath,
  fileURLToPath(new URL('../test/fixtures/counter.js', import.meta.url)),
  String(HTTP_PORT),
];
const IPERF = ['iperf3', '--server', '--port', String(IPERF_PORT)];

/** The servers without AppShot, each in a network namespace of its own; returns what ends them. */
const startBare = async ({ lab }: Bench): Promise<() => Promise<void>> => {
  await makeBridge(lab);
  const begin = (link: string, address: string, command: readonly string[]) =>
    lab.talk('unshare', ['--net', ...attached(lab, link, address, command)]);
  const servers = await Promise.all([begin('bare0', '10.98.1.1', WEB), begin('bare1', '10.98.1.2', IPERF)]);
  return async () => {
    await Promise.all(servers.map((server) => server.close()));
  };
};

/** Median milliseconds of a request over one open connection. */
const latency = async ({ lab }: Bench, address: string): Promise<number> =>
  median(await askMany(lab.namespace.inside(address, HTTP_PORT), QUESTION, REQUESTS));

/** Gbit/s of one stream, as its receiver counts. */
const throughput = async ({ lab }: Bench, address: string): Promise<number> => {
  const options = ['--client', address, '--port', String(IPERF_PORT), '--bytes', AMOUNT, '--json'];
  const { stdout } = await lab.exec('iperf3', options);
  const result = JSON.parse(stdout) as { end: { sum_received: { bits_per_second: number } } };
  return result.end.sum_received.bits_per_second / 1e9;
};

/** Measures one place and the other, and changes who is first each time. */
const inTurns = async (
  samples: number,
  places: readonly [string, string],
  measure: (address: string) => Promise<number>,
): Promise<[number[], number[]]> => {
  const values: [number[], number[]] = [[], []];
  for (let sample = 0; sample < samples; sample++) {
    for (const which of sample % 2 === 0 ? ([0, 1] as const) : ([1, 0] as const))
      values[which].push(await measure(places[which]));
  }
  return values;
};

const measure = async (bench: Bench): Promise<Figure[]> => {
  const { lab, samples } = bench;
  const web = await launch(lab, 'web', { command: WEB });
  const iperf = await launch(lab, 'iperf', { command: IPERF });
  const end = await startBare(bench);
  for (const address of [web.address, '10.98.1.1'])
    await eventually(() => ask(lab.namespace.inside(address, HTTP_PORT), QUESTION));
  const [latencies, bareLatencies] = await inTurns(samples, [web.address, '10.98.1.1'], (address) =>
    latency(bench, address),
  );
  for (const address of [iperf.address, '10.98.1.2']) await eventually(() => throughput(bench, address));
  const [rates, bareRates] = await inTurns(samples, [iperf.address, '10.98.1.2'], (address) =>
    throughput(bench, address),
  );
  await end();
  await Promise.all([web.remove(), iperf.remove()]);
  const request = (name: string, values: readonly number[]): Samples => ({
    name: `request latency, ${name}`,
    unit: 'ms',
    values,
  });
  const rate = (name: string, values: readonly number[]): Samples => ({
    name: `throughput, ${name}`,
    unit: 'Gbit/s',
    values,
    moreIsBetter: true,
  });
  const [bareLatency, bareRate] = [request('bare veth', bareLatencies), rate('bare veth', bareRates)];
  return [
    compared(request('running application', latencies), bareLatency, LATENCY_LIMIT),
    figure(bareLatency),
    compared(rate('running application', rates), bareRate, THROUGHPUT_LIMIT),
    figure(bareRate),
  ];
};

export const network: Part = {
  name: 'network',
  title: 'The network of a running application, beside a bare veth',
  measure,
};
