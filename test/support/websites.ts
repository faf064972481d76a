/** Web sites of a lab, each an application with a host name of its own, and visitors who check every answer. */
import { once } from 'node:events';
import { request } from 'node:http';
import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import type { Client } from '../../src/api/client.ts';
import { ChainSpec } from '../../src/api/index.ts';
import type { SleepResult } from '../../src/api/index.ts';
import { eventually } from './eventually.ts';
import type { Lab } from './lab.ts';
import type { Inside } from './network-namespace.ts';
import { PYTHON } from './programs/program.ts';

const SITE_PORT = 8080;
/** What a visitor waits for an answer, before that counts as none. */
const PATIENCE_MS = 60_000;
const fixture = (name: string): string => fileURLToPath(new URL(`../fixtures/${name}`, import.meta.url));

/** Options of a daemon with a gateway, and where that then listens. */
export const GATEWAY = { args: ['--http', '80'], address: '127.0.0.1', port: 80 } as const;

export interface SiteWords {
  readonly name: string;
  /** Node's unless told otherwise. */
  readonly language?: 'node' | 'python';
  /** Of its own memory; 16 unless told otherwise. */
  readonly megabytes?: number;
}

export const hostOf = (name: string): string => `${name}.example`;

/** One site as `appshot run` takes it; `more` goes over that. */
const siteSpec = (
  { name, language = 'node', megabytes = 16 }: SiteWords,
  more: Partial<ChainSpec> = {},
): ChainSpec => {
  const program =
    language === 'node' ? [process.execPath, fixture('website.js')] : [PYTHON, fixture('website.py')];
  const command = [...program, name, String(SITE_PORT), String(megabytes)];
  return ChainSpec.parse({
    name,
    processes: [{ name: 'site', command }],
    sites: [{ host: hostOf(name), port: SITE_PORT }],
    ...more,
  });
};

interface Answer {
  readonly site: string;
  readonly count: number;
  readonly found: readonly number[];
}

/** Where a site is asked for. */
export type Door = (site: Website) => Inside;

export const atItsAddress =
  ({ namespace }: Lab): Door =>
  ({ address }) =>
    namespace.inside(address, SITE_PORT);

export const throughGateway =
  ({ namespace }: Lab): Door =>
  () =>
    namespace.inside(GATEWAY.address, GATEWAY.port);

interface Fetched {
  readonly body: string;
  /** Milliseconds to the last byte. */
  readonly ms: number;
}

/** What still had to be said about a closed connection would keep a site from falling asleep. */
const closed = async (socket: Socket): Promise<void> => {
  if (socket.closed) return;
  const { promise, resolve } = Promise.withResolvers<void>();
  socket.once('close', () => resolve());
  await promise;
};

/** One GET over a connection of its own, which is closed when it settles. */
const fetchFrom = async (to: Inside, host: string, path: string): Promise<Fetched> => {
  const began = performance.now();
  const signal = AbortSignal.timeout(PATIENCE_MS);
  // Node's types know `autoSelectFamily` for sockets alone; the request hands it on.
  const sent = request({ ...to, path, headers: { host }, agent: false as const, signal }).end();
  const [response] = (await once(sent, 'response')) as [IncomingMessage];
  const body = await text(response);
  const ms = performance.now() - began;
  await closed(response.socket);
  if (response.statusCode === 200) return { body, ms };
  throw new Error(`it answered ${response.statusCode}: ${body.slice(0, 80)}`);
};

/** A site, and what its visitors have seen of it. */
export class Website {
  readonly name: string;
  readonly host: string;
  readonly aid: string;
  readonly address: string;
  readonly #counts = new Set<number>();
  #highest = 0;

  constructor(name: string, { aid, address }: { aid: string; address: string }) {
    this.name = name;
    this.host = hostOf(name);
    this.aid = aid;
    this.address = address;
  }

  /**
   * One visit, over a connection of its own; returns the milliseconds to the last byte of the answer. Throws when there is none, or one that is
   * not this site's, tells of other memory than it has, or counts on from another number than visitors have seen.
   */
  async visit(door: Door, path = '/'): Promise<number> {
    const seen = this.#highest;
    try {
      const { body, ms } = await fetchFrom(door(this), this.host, path);
      this.#check(JSON.parse(body) as Answer, seen);
      return ms;
    } catch (error) {
      throw new Error(`${this.name}: ${(error as Error).message}`, { cause: error });
    }
  }

  #check({ site, count, found }: Answer, seen: number): void {
    if (site !== this.name) throw new Error(`it was ${site} who answered`);
    if (count <= seen || this.#counts.has(count))
      throw new Error(`it counted ${count}, after ${seen} was seen`);
    const before = Buffer.from(site).reduce((sum, letter) => sum + letter, count - 1) % 251;
    if (found.length !== 2 || found.some((byte) => byte !== before))
      throw new Error(`visit ${count} found ${String(found)} in its memory, not ${before}`);
    this.#counts.add(count);
    this.#highest = Math.max(this.#highest, count);
  }

  /** Visits that it has counted and that nobody got the answer of: 0 when each visit was served once. */
  get lost(): number {
    return this.#highest - this.#counts.size;
  }
}

/** Starts a site and waits for its first answer. */
export const openSite = async (
  lab: Lab,
  client: Client,
  words: SiteWords,
  more: Partial<ChainSpec> = {},
): Promise<Website> => {
  const site = new Website(words.name, await client.run(siteSpec(words, more)));
  await eventually(() => site.visit(atItsAddress(lab)), PATIENCE_MS);
  return site;
};

/** Puts it to sleep. A late packet of a visit's end turns it back, as one of a visitor would. */
export const closeSite = (client: Client, { aid }: Website): Promise<SleepResult> =>
  eventually(() => client.sleep(aid));
