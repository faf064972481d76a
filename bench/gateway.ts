/**
 * The gateway beside an HAProxy whose configuration was written by hand for the same two servers, in turns and for the same client. The
 * servers are nginx, quick enough to leave the proxy as what is measured, on the lab's loopback.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Dialogue } from '../test/support/dialogue.ts';
import { eventually } from '../test/support/eventually.ts';
import { makeGateway } from '../test/support/gateway.ts';
import type { Lab } from '../test/support/lab.ts';
import type { Bench, Part } from './bench.ts';
import { compared, figure } from './figures.ts';
import type { Figure, Samples } from './figures.ts';
import { ask, askMany, httpGet } from './request.ts';
import { median } from './statistics.ts';

/** Within 5 percent. */
const THROUGHPUT_LIMIT = 0.95;
const LATENCY_LIMIT = 1.05;
const TURNS = 4;
const REQUESTS = 500;
/** The name that the questions of this benchmark ask for. */
const HOST = 'bench';
const SERVERS = ['127.0.2.1', '127.0.2.2'];
const SERVER_PORT = 8000;
const ADDRESS = '127.0.0.1';
/** Other sites of the gateway: it finds its own among them. */
const OTHERS = 100;

interface Proxy {
  readonly name: string;
  readonly port: number;
}
const GATEWAY: Proxy = { name: 'gateway', port: 8080 };
const PLAIN: Proxy = { name: 'plain HAProxy', port: 8081 };

const startServers = async (lab: Lab): Promise<Dialogue> => {
  const path = join(lab.directory, 'servers.conf');
  const listen = SERVERS.map((address) => `listen ${address}:${SERVER_PORT};`).join(' ');
  writeFileSync(
    path,
    `daemon off; pid ${path}.pid; error_log stderr; events { }
http { access_log off; keepalive_requests 1000000; server { ${listen} location / { return 200 "nginx\\n"; } } }\n`,
  );
  return await lab.talk('nginx', ['-e', 'stderr', '-c', path]);
};

const startPlain = async (lab: Lab): Promise<Dialogue> => {
  const path = join(lab.directory, 'plain.cfg');
  const servers = SERVERS.map((address, index) => `  server s${index} ${address}:${SERVER_PORT}\n`);
  writeFileSync(
    path,
    `defaults
  mode http
  option forwardfor
  timeout connect 5s
  timeout client 60s
  timeout server 60s
frontend web
  bind ${ADDRESS}:${PLAIN.port}
  use_backend servers if { hdr(host) -i ${HOST} }
backend servers
  balance leastconn
${servers.join('')}`,
  );
  // In a session of its own, as the gateway's: the kernel shares out its time among sessions.
  return await lab.talk('setsid', ['haproxy', '-f', path]);
};

interface Measure {
  readonly name: string;
  readonly unit: string;
  readonly moreIsBetter: boolean;
  readonly limit: number;
  take(lab: Lab, proxy: Proxy): Promise<readonly number[]>;
}

const throughput: Measure = {
  name: 'requests, 16 connections',
  unit: '1/s',
  moreIsBetter: true,
  limit: THROUGHPUT_LIMIT,
  take: async (lab, { port }) => {
    const { stdout } = await lab.exec('wrk', [
      ...['--threads', '1', '--connections', '16', '--duration', '1s'],
      ...['--header', `Host: ${HOST}`, `http://${ADDRESS}:${port}/`],
    ]);
    if (/Socket errors|Non-2xx/.test(stdout)) throw new Error(stdout);
    return [Number(/Requests\/sec:\s+([\d.]+)/.exec(stdout)?.[1])];
  },
};

const latency: Measure = {
  name: 'request latency, one connection',
  unit: 'µs',
  moreIsBetter: false,
  limit: LATENCY_LIMIT,
  take: async (lab, { port }) => {
    const each = await askMany(lab.namespace.inside(ADDRESS, port), httpGet('/'), REQUESTS);
    return each.map((ms) => ms * 1000);
  },
};

/** One sample of each proxy: the median of what was taken in their turns, each of which begins with the other one. */
const sampleBoth = async (lab: Lab, measure: Measure): Promise<[number, number]> => {
  const [gateway, plain]: [number[], number[]] = [[], []];
  for (let turn = 0; turn < TURNS; turn++) {
    if (turn % 2 === 1) gateway.push(...(await measure.take(lab, GATEWAY)));
    plain.push(...(await measure.take(lab, PLAIN)));
    if (turn % 2 === 0) gateway.push(...(await measure.take(lab, GATEWAY)));
  }
  return [median(gateway), median(plain)];
};

const compare = async ({ lab, samples }: Bench, measure: Measure): Promise<Figure[]> => {
  const [ours, theirs]: [number[], number[]] = [[], []];
  for (let sample = 0; sample < samples; sample++) {
    const [gateway, plain] = await sampleBoth(lab, measure);
    ours.push(gateway);
    theirs.push(plain);
  }
  const of = ({ name }: Proxy, values: readonly number[]): Samples => ({
    ...{ name: `${measure.name}, ${name}`, unit: measure.unit, values },
    moreIsBetter: measure.moreIsBetter,
  });
  const beside = of(PLAIN, theirs);
  return [compared(of(GATEWAY, ours), beside, measure.limit), figure(beside)];
};

export const gateway: Part = {
  name: 'gateway',
  title: 'The web gateway, beside a plain HAProxy',
  daemon: null,
  measure: async (bench) => {
    const { lab } = bench;
    const running = [await startServers(lab), await startPlain(lab)];
    const own = makeGateway(lab);
    try {
      const backends = SERVERS.map((address) => ({ name: address, address, port: SERVER_PORT, awake: true }));
      const hosts = [HOST, ...Array.from({ length: OTHERS }, (_, index) => `other${index}.example`)];
      const sites = hosts.map((host) => ({ host, service: host, backends }));
      await own.apply({ http: { address: ADDRESS, port: GATEWAY.port }, sites });
      for (const { port } of [GATEWAY, PLAIN])
        await eventually(() => ask(lab.namespace.inside(ADDRESS, port), httpGet('/')));
      return [...(await compare(bench, throughput)), ...(await compare(bench, latency))];
    } finally {
      await own.close();
      for (const program of running) await program.close();
    }
  },
};
