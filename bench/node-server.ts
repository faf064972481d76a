/** The application that most figures are of: a Node HTTP server that holds so many megabytes besides Node's own. */
import { fileURLToPath } from 'node:url';
import { launch } from '../test/support/application.ts';
import type { Application } from '../test/support/application.ts';
import { eventually } from '../test/support/eventually.ts';
import type { Inside } from '../test/support/network-namespace.ts';
import type { Bench } from './bench.ts';
import { ask, httpGet } from './request.ts';

export const PORT = 8080;
export const QUESTION = httpGet('/count');
const COUNTER = fileURLToPath(new URL('../test/fixtures/counter.js', import.meta.url));

export const nodeServer = (megabytes: number): string[] => [
  process.execPath,
  COUNTER,
  String(PORT),
  String(megabytes),
];

export interface Server {
  readonly app: Application;
  readonly to: Inside;
}

/** Runs one as an application, and waits until it answers. */
export const startServer = async (bench: Bench, name: string, megabytes: number): Promise<Server> => {
  const app = await launch(bench.lab, name, { command: nodeServer(megabytes) });
  const to = bench.lab.namespace.inside(app.address, PORT);
  await eventually(() => ask(to, QUESTION));
  return { app, to };
};
