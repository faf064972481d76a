/** The fixture that counts in memory and in files, and how tests speak to it. */
import { expect } from 'vitest';
import { launch } from './application.ts';
import type { Application } from './application.ts';
import { eventually } from './eventually.ts';
import type { HttpConnection } from './http-client.ts';
import type { Lab } from './lab.ts';
import { fixture, getJson, openHttp } from './programs/program.ts';

const PORT = 8080;
/** On which it listens besides, after `/hold`. */
export const HELD_PORT = PORT + 1;

export interface LedgerState {
  readonly memory: number;
  readonly file: number;
  readonly lines: number;
  readonly shared: number;
  readonly hostname: string;
  readonly pid: number;
}

interface Reachable {
  readonly address: string;
}

export const askLedger = (
  lab: Lab,
  { address }: Reachable,
  path: '/add' | '/state' | '/hold',
): Promise<LedgerState> => getJson<LedgerState>({ lab, address }, PORT, path);

export const openLedger = (lab: Lab, { address }: Reachable): HttpConnection =>
  openHttp({ lab, address }, PORT);

/** All its counts are this one: memory and files are of one instant. */
export const expectCount = async (lab: Lab, at: Reachable, count: number): Promise<LedgerState> => {
  const state = await askLedger(lab, at, '/state');
  expect(state).toMatchObject({ memory: count, file: count, lines: count, shared: count });
  return state;
};

export const launchLedger = async (
  lab: Lab,
  name: string,
  options: readonly string[] = [],
): Promise<Application> => {
  const app = await launch(
    lab,
    name,
    { command: [process.execPath, fixture('ledger.js'), String(PORT)] },
    options,
  );
  await eventually(() => askLedger(lab, app, '/state'));
  return app;
};
