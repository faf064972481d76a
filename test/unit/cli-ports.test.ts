/** What `appshot ports` prints, and asks the daemon for. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { PortsView } from '../../src/api/index.ts';
import { formatPorts } from '../../src/cli/verbs/ports.ts';
import { CannedDaemon } from '../support/canned-daemon.ts';

const PORT: PortsView['ports'][number] = {
  protocol: 'tcp',
  address: null,
  port: 8080,
  service: 'shop',
  aid: '01J',
  name: 'shop-1',
  state: 'asleep',
  target: '10.10.0.2:80',
  takesNew: false,
};
const CONNECTION: PortsView['connections'][number] = {
  protocol: 'tcp',
  client: '192.0.2.7:4711',
  first: '192.0.2.1:8080',
  second: '10.10.0.2:80',
  seen: '192.0.2.7:4711',
  state: 'ESTABLISHED',
  since: null,
  aid: null,
  name: null,
};
const VIEW: PortsView = {
  ports: [PORT, { ...PORT, protocol: 'udp', address: '192.0.2.1', port: 53, takesNew: true }],
  connections: [CONNECTION],
};

let daemon: CannedDaemon;
beforeAll(async () => {
  daemon = await CannedDaemon.start({
    'GET /v1/ports': { body: { ports: [], connections: [] } },
    'GET /v1/ports?app=shop-1': { body: VIEW },
  });
});
afterAll(() => daemon.close());

it('lists ports, and below them connections', () => {
  expect(formatPorts(VIEW).split('\n')).toEqual([
    'PORT              LEADS TO      NAME    SERVICE  STATE   NEW CONNECTIONS',
    'tcp 8080          10.10.0.2:80  shop-1  shop     asleep  no',
    'udp 192.0.2.1:53  10.10.0.2:80  shop-1  shop     asleep  yes',
    '',
    'CLIENT          PORT                LEADS TO      NAME  SEEN AS         STATE        SINCE',
    '192.0.2.7:4711  tcp 192.0.2.1:8080  10.10.0.2:80  -     192.0.2.7:4711  ESTABLISHED  -',
  ]);
});

it('asks for those of all applications, or of one', async () => {
  const all = await daemon.run('ports');
  expect(all).toMatchObject({ code: 0, stdout: expect.stringMatching(/^PORT [^\n]*\n$/) as string });
  expect(JSON.parse((await daemon.run('ports', 'shop-1', '--json')).stdout)).toEqual(VIEW);
  expect(await daemon.run('ports', 'no/name')).toMatchObject({
    code: 1,
    stderr: expect.stringContaining('APP_NOT_FOUND') as string,
  });
});
