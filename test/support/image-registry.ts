/** Debian's docker-registry on a port of its own on loopback, and a way to it that breaks after so many bytes. */
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, connect } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { start } from '../../src/exec/index.ts';

export interface ImageRegistry {
  /** `ADDRESS:PORT`. */
  readonly host: string;
  readonly directory: string;
  [Symbol.asyncDispose](): Promise<void>;
}

const LISTENING = /listening on ([\d.]+:\d+)/;

const portIn = async (output: Readable): Promise<string> => {
  const lines: string[] = [];
  for await (const line of createInterface(output)) {
    const host = LISTENING.exec(line)?.[1];
    if (host !== undefined) return host;
    lines.push(line);
  }
  throw new Error(`docker-registry ended: ${lines.join('\n')}`);
};

/** Where a registry listens: on loopback here, unless in a network namespace of its own with an address there. */
interface RegistryPlace {
  readonly namespace: string;
  readonly address: string;
}

/** Starts a registry; `auth` is the section of that name in its configuration, which may name files of `files`. */
export const startImageRegistry = async (
  auth?: (directory: string) => object,
  files: Readonly<Record<string, string>> = {},
  place?: RegistryPlace,
): Promise<ImageRegistry> => {
  const directory = await mkdtemp(join(tmpdir(), 'appshot-images-'));
  for (const [name, content] of Object.entries(files)) await writeFile(join(directory, name), content);
  const configuration = {
    version: '0.1',
    log: { level: 'info' },
    storage: { filesystem: { rootdirectory: join(directory, 'storage') } },
    http: { addr: `${place?.address ?? '127.0.0.1'}:0` },
    ...(auth && { auth: auth(directory) }),
  };
  // JSON is YAML.
  await writeFile(join(directory, 'config.yml'), JSON.stringify(configuration));
  const command = ['docker-registry', 'serve', join(directory, 'config.yml')];
  const inside = place === undefined ? command : ['nsenter', `--net=${place.namespace}`, '--', ...command];
  const [tool = '', ...args] = inside;
  const registry = await start(tool, args);
  const host = await portIn(registry.stderr as Readable);
  registry.stderr?.resume();
  registry.stdout?.resume();
  return {
    host,
    directory,
    [Symbol.asyncDispose]: async () => {
      await registry.stop();
      await rm(directory, { recursive: true });
    },
  };
};

export interface BreakingWay {
  readonly host: string;
  /** Bytes that passed since it was last set, both ways. */
  readonly passed: number;
  /** Lets so many bytes pass, then ends every connection and takes no other. */
  allow(bytes: number): void;
  [Symbol.asyncDispose](): Promise<void>;
}

/** A TCP proxy to `host`. */
export const startBreakingWay = async (host: string): Promise<BreakingWay> => {
  const [address = '', port] = host.split(':');
  const sockets = new Set<Socket>();
  let left = Number.POSITIVE_INFINITY;
  let passed = 0;
  const pass = (from: Socket, to: Socket): void => {
    sockets.add(from);
    from.on('error', () => undefined);
    from.on('close', () => {
      sockets.delete(from);
      to.destroy();
    });
    from.on('data', (chunk: Buffer) => {
      const some = chunk.subarray(0, Math.max(0, left));
      left -= some.length;
      passed += some.length;
      to.write(some);
      if (left <= 0) for (const socket of sockets) socket.destroy();
    });
  };
  const server = createServer((client) => {
    if (left <= 0) return void client.destroy();
    const upstream = connect(Number(port), address);
    pass(client, upstream);
    pass(upstream, client);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    host: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    get passed() {
      return passed;
    },
    allow: (bytes) => {
      left = Math.floor(bytes);
      passed = 0;
    },
    [Symbol.asyncDispose]: async () => {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, 'close');
    },
  };
};
