/** The fixture that says who it is, and writes and reads what it is told. */
import { launch } from './application.ts';
import type { Application, Launch } from './application.ts';
import { eventually } from './eventually.ts';
import type { Lab } from './lab.ts';
import { PYTHON, askJson, fixture, openLines } from './programs/program.ts';
import type { Program } from './programs/program.ts';

const PORT = 8090;

interface Reachable {
  readonly address: string;
}

/** Who an application takes itself for. */
export interface Tenant {
  readonly hostname: string;
  readonly file: string;
  readonly hosts: string;
  readonly identity: Readonly<Record<string, string | number>>;
  readonly generation: string;
  readonly variables: Readonly<Record<string, string>>;
  readonly pid: number;
}

/** One command, over a connection of its own. Throws when the fixture tells an error. */
export const askTenant = async <T = unknown>(
  lab: Lab,
  { address }: Reachable,
  ...words: string[]
): Promise<T> => (await askJson<{ answer: T }>({ lab, address }, PORT, words.join(' '))).answer;

export const whoIs = (lab: Lab, at: Reachable): Promise<Tenant> => askTenant<Tenant>(lab, at, 'who');

export const openTenant = (lab: Lab, { address }: Reachable) => openLines({ lab, address }, PORT);

/** The address with which it greets at the port where it listens at its own address alone. */
export const greetingOf = async (lab: Lab, { address }: Reachable): Promise<string> => {
  const socket = await lab.connect(address, PORT + 1);
  try {
    for await (const chunk of socket) return String(chunk).trim();
    throw new Error(`${address} did not greet`);
  } finally {
    socket.destroy();
  }
};

const launchOf = (kept?: string): Launch => ({
  command: [PYTHON, fixture('tenant.py'), String(PORT), ...(kept === undefined ? [] : [kept])],
});

export const tenant: Pick<Program, 'name' | 'launch' | 'ready'> = {
  name: 'python',
  launch: launchOf(),
  ready: async (at) => {
    await eventually(() => whoIs(at.lab, at));
  },
};

/** `kept` is a file that it opens at its start. */
export const launchTenant = async (
  lab: Lab,
  name: string,
  { kept, options = [] }: { kept?: string; options?: readonly string[] } = {},
): Promise<Application> => {
  const app = await launch(lab, name, launchOf(kept), options);
  await tenant.ready({ lab, address: app.address });
  return app;
};
