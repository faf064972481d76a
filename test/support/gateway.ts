/** A gateway in a lab: HAProxy inside the lab's network namespace, and sites of the loopback addresses there. */
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { join } from 'node:path';
import { createLogger } from '../../src/common/index.ts';
import { run } from '../../src/exec/index.ts';
import { Gateway, HAPROXY } from '../../src/gateway/index.ts';
import type { Backend, GatewayOptions } from '../../src/gateway/index.ts';
import type { Dialogue } from './dialogue.ts';
import type { Lab } from './lab.ts';

const NODE = fileURLToPath(new URL('../../scripts/node.sh', import.meta.url));
const fixture = (name: string): string => fileURLToPath(new URL(`../fixtures/${name}`, import.meta.url));

/** The command that serves the sites named by its further arguments. */
export const SITE = ['sh', NODE, fixture('site.js')];

/** A program that executes HAProxy inside the lab. */
const insideLab = (lab: Lab): string => {
  const path = join(lab.directory, 'haproxy');
  const script = `#!/bin/sh\nexport APPSHOT_LAB=${lab.name}\nexec nsenter --net=${lab.namespace.path} -- ${HAPROXY} "$@"\n`;
  writeFileSync(path, script);
  chmodSync(path, 0o755);
  return path;
};

export const gatewayDirectory = (lab: Lab): string => join(lab.directory, 'gateway');

export const makeGateway = (lab: Lab, options: Partial<GatewayOptions> = {}): Gateway =>
  new Gateway({
    directory: gatewayDirectory(lab),
    program: insideLab(lab),
    log: createLogger({ level: 'silent' }),
    ...options,
  });

/** A backend `NAME` at 127.0.1.LAST, port 8000; awake unless told otherwise. */
export const backend = (name: string, last: number, more: Partial<Backend> = {}): Backend => ({
  name,
  address: `127.0.1.${last}`,
  port: 8000,
  awake: true,
  ...more,
});

/** Starts the sites behind these backends, in one process. */
export const serve = async (lab: Lab, ...backends: Backend[]): Promise<Dialogue> => {
  const places = backends.map(({ name, address, port }) => `${name}=${address}:${port}`);
  const sites = await lab.talk('env', [...SITE, ...places]);
  await sites.hear(/^serving$/);
  return sites;
};

/** Node's WebSocket client, open; it believes any certificate. */
export const webSocket = async (lab: Lab, url: string): Promise<Dialogue> => {
  const trusting = 'NODE_TLS_REJECT_UNAUTHORIZED=0';
  const client = await lab.talk('env', [trusting, 'sh', NODE, fixture('websocket.js'), url]);
  await client.hear(/^open$/);
  return client;
};

/** A directory with a self-signed certificate for these names. */
export const selfSigned = async (directory: string, file: string, ...names: string[]): Promise<string> => {
  mkdirSync(directory, { recursive: true });
  const path = join(directory, file);
  await run('openssl', [
    ...['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'],
    ...['-days', '2', '-subj', `/CN=${names[0]}`],
    ...['-addext', `subjectAltName=${names.map((name) => `DNS:${name}`).join(',')}`],
    ...['-keyout', `${path}.part`, '-out', path],
  ]);
  // HAProxy and we take certificate and key from one file.
  await run('sh', ['-c', 'cat "$0.part" >>"$0" && rm "$0.part"', path]);
  return directory;
};

export interface Load {
  /** Ends it; returns how many answers there were, and what else. */
  stop(): Promise<{ answers: number; failures: (string | number)[] }>;
}

/** Asks a site over and over, on connections that are kept, from now on. */
export const load = async (lab: Lab, host: string, connections = 8): Promise<Load> => {
  const client = await lab.talk('sh', [NODE, fixture('load.js'), '127.0.0.1:80', host, String(connections)]);
  await client.hear(/^loading$/);
  return {
    stop: async () => {
      client.tell('stop');
      const [told] = await client.hear(/^\{.*\}$/);
      return JSON.parse(told) as { answers: number; failures: (string | number)[] };
    },
  };
};
