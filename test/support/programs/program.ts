import { fileURLToPath } from 'node:url';
import type { Launch } from '../application.ts';
import type { Lab } from '../lab.ts';
import { lineClient } from '../line-client.ts';
import type { LineClient } from '../line-client.ts';
import { get, httpConnection } from '../http-client.ts';
import type { HttpConnection } from '../http-client.ts';

/** Where a program can be reached. */
export interface Place {
  readonly lab: Lab;
  readonly address: string;
}

/** Work that was begun with a program and goes on after it slept. */
export interface Work {
  /**
   * Goes on over a new connection, whose first packet wakes the program. Asserts that everything done before is still
   * there, and does more. May be called any number of times.
   */
  goOn(): Promise<void>;
  close(): Promise<void> | void;
}

/** A connection that was opened before and says nothing. */
export interface Idle {
  /** Speaks over it; asserts that it is the same and that the answer is right. */
  check(): Promise<void>;
  close(): Promise<void> | void;
}

/** A real program with its real client. */
export interface Program {
  readonly name: string;
  readonly launch: Launch;
  /** A TCP port on which it listens. */
  readonly port: number;
  /** Settles when the program answers. */
  ready(at: Place): Promise<void>;
  /** Does real work. */
  begin(at: Place): Promise<Work>;
  openIdle(at: Place): Promise<Idle>;
}

export const fixture = (name: string): string =>
  fileURLToPath(new URL(`../../fixtures/${name}`, import.meta.url));

/** Debian's, which an application finds in its own root whatever is first on our PATH. */
export const PYTHON = '/usr/bin/python3';

/** The body of one GET by curl, over a connection of its own. */
export const curl = async (at: Place, port: number, path: string): Promise<string> => {
  const url = `http://${at.address}:${port}${path}`;
  const { stdout } = await at.lab.exec('curl', [
    '--silent',
    '--show-error',
    '--fail',
    '--max-time',
    '20',
    url,
  ]);
  return stdout;
};

export const curlJson = async <T>(at: Place, port: number, path: string): Promise<T> =>
  JSON.parse(await curl(at, port, path)) as T;

export const openHttp = (at: Place, port: number): HttpConnection =>
  httpConnection(at.lab.namespace.inside(at.address, port));

/** One GET from this process, over a connection of its own. */
export const getJson = async <T>(at: Place, port: number, path: string): Promise<T> =>
  JSON.parse((await get(at.lab.namespace.inside(at.address, port), path)).body) as T;

export const openLines = async (at: Place, port: number): Promise<LineClient> =>
  lineClient(await at.lab.connect(at.address, port));

/** Asks one thing over a connection of its own. */
export const askJson = async <T>(at: Place, port: number, line: string): Promise<T> => {
  const client = await openLines(at, port);
  try {
    return await client.askJson<T>(line);
  } finally {
    client.close();
  }
};
