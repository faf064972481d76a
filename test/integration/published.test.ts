/** Published ports of real applications: one port, several instances, awake or asleep, clones among them. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Client } from '../../src/api/client.ts';
import type { ChainSpec } from '../../src/api/index.ts';
import type { DaemonProcess } from '../support/daemon-process.ts';
import { eventually } from '../support/eventually.ts';
import { createLab } from '../support/lab.ts';
import type { Lab } from '../support/lab.ts';

const PORT = 8080;
/** Answers each request with its host's name, which it asks for each time. */
const SERVER = `
import http.server, socket
class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(socket.gethostname().encode())
http.server.ThreadingHTTPServer(('', ${PORT}), Answer).serve_forever()
`;

let lab: Lab;
let daemon: DaemonProcess;
let client: Client;

beforeAll(async () => {
  lab = await createLab();
  daemon = await lab.daemon();
  client = new Client(lab.runDirectory);
});

afterAll(async () => {
  await lab[Symbol.asyncDispose]();
});

const specOf = (name: string, more: Partial<ChainSpec>): ChainSpec =>
  ({
    name,
    processes: [{ name: 'web', command: ['python3', '-c', SERVER] }],
    ...more,
  }) as ChainSpec;

/** Which instance has answered at a port of the machine. */
const asked = async (port: number): Promise<string> =>
  (await lab.exec('curl', ['-sf', '--max-time', '20', `http://127.0.0.1:${port}/`])).stdout;

const refused = (port: number): Promise<void> =>
  eventually(() => expect(asked(port)).rejects.toMatchObject({ code: 'TOOL_FAILED' }));

const stateOf = async (name: string): Promise<string> => (await client.inspect(name)).state;

test('leads to its application, which wakes for it', async () => {
  const { aid } = await client.run(
    specOf('web', { publish: [{ port: 8000, target: PORT, protocol: 'tcp' }] }),
  );
  await eventually(async () => expect(await asked(8000)).toBe('web'));
  await client.sleep(aid);
  expect(await asked(8000)).toBe('web');
  await client.freeze(aid);
  expect(await asked(8000)).toBe('web');
  await client.remove(aid, { force: true });
  await refused(8000);
});

test('leads to all that run, and wakes only one when none does', async () => {
  const publish = [{ port: 8001, target: PORT, protocol: 'tcp' as const }];
  const first = await client.run(specOf('shop', { publish }));
  await eventually(async () => expect(await asked(8001)).toBe('shop'));
  await client.createTemplate({ name: 'warm', from: 'shop' });
  const clones = await client.clone('warm', { count: 3, service: 'shop' });
  const apart = await client.clone('warm', { count: 1, name: 'apart' });
  const names = ['shop', ...clones.map(({ name }) => name)];
  const answered = new Set<string>();
  for (let turn = 0; turn < 3 * names.length; turn += 1) answered.add(await asked(8001));
  expect([...answered].toSorted()).toEqual(names.toSorted());
  for (const name of names) await client.sleep(name);
  await asked(8001);
  const awake = await Promise.all(names.map(stateOf));
  expect(awake.filter((state) => state === 'running')).toHaveLength(1);
  for (const { aid } of [first, ...clones, ...apart]) await client.remove(aid, { force: true });
  await client.removeTemplate('warm');
  await refused(8001);
});

test('of another service, or of a program of this machine, is refused', async () => {
  const publish = [{ port: 8002, target: PORT, protocol: 'tcp' as const }];
  const { aid } = await client.run(specOf('mine', { publish }));
  await expect(client.run(specOf('yours', { publish }))).rejects.toMatchObject({
    code: 'PORT_TAKEN',
    message: 'the port 8002/tcp cannot be published: the service mine has it',
  });
  const other = { publish: [{ port: 8002, target: PORT, protocol: 'udp' as const }] };
  const { aid: datagrams } = await client.run(specOf('yours', other));
  const listener = await lab.talk('python3', ['-u', '-m', 'http.server', '8003']);
  await listener.hear(/Serving/);
  const busy = { publish: [{ port: 8003, target: PORT, protocol: 'tcp' as const }] };
  await expect(client.run(specOf('late', busy))).rejects.toMatchObject({ code: 'PORT_TAKEN' });
  await listener.close();
  for (const one of [aid, datagrams]) await client.remove(one, { force: true });
  expect(await client.apps({ all: true })).toEqual([]);
});

test('belongs to whoever took it while its first application was stopped', async () => {
  const publish = [{ port: 8004, target: PORT, protocol: 'tcp' as const }];
  const first = await client.run(specOf('first', { publish }));
  const { snapshot } = await client.takeSnapshot(first.aid);
  await client.stop(first.aid, { timeout: 1 });
  const second = await client.run(specOf('second', { publish }));
  await expect(client.rewind(first.aid, { snapshot })).rejects.toMatchObject({ code: 'PORT_TAKEN' });
  await eventually(async () => expect(await asked(8004)).toBe('second'));
  await client.remove(second.aid, { force: true });
  await client.rewind(first.aid, { snapshot });
  await eventually(async () => expect(await asked(8004)).toBe('first'));
  await client.remove(first.aid, { force: true });
});

test('is free when the daemon was killed before its application ran', async () => {
  const publish = [{ port: 8005, target: PORT, protocol: 'tcp' as const }];
  const begun = Promise.allSettled([client.run(specOf('begun', { publish }))]);
  await eventually(async () => expect(await stateOf('begun')).toBe('starting'));
  await daemon.kill();
  expect(await begun).toMatchObject([{ status: 'rejected' }]);
  daemon = await lab.daemon();
  expect(await client.ports()).toMatchObject({ ports: [] });
  const { aid } = await client.run(specOf('other', { publish }));
  await eventually(async () => expect(await asked(8005)).toBe('other'));
  await client.remove(aid, { force: true });
});
