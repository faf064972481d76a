/**
 * The resources room against real processes: a holder of things in namespaces of its own, with a first process, a PID 1 that
 * is no part of it, and nobody else.
 */
import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { afterEach, describe, expect, it } from 'vitest';
import { start } from '../../src/exec/index.ts';
import {
  NETLINK_SOCK_DIAG,
  NetlinkSocket,
  close,
  openNamespace,
  withNetworkNamespace,
} from '../../src/kernel/index.ts';
import { blockers, holdings, listProcesses, networkUse } from '../../src/resources/index.ts';
import type { ResourceInput } from '../../src/resources/index.ts';

const HOLDER = new URL('../fixtures/holder.py', import.meta.url).pathname;
// The holder's standard streams are opened inside; `cat` hands on what it says.
const script = (session: string): string =>
  `ip link set lo up; exec </dev/null; ${session} python3 "$@" 2>&1 | cat`;

const childrenOf = (pid: number): number[] =>
  readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ').filter(Boolean).map(Number);

const descendantsOf = (pid: number): number[] =>
  childrenOf(pid).flatMap((child) => [child, ...descendantsOf(child)]);

const isHolder = (pid: number): boolean => readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes(HOLDER);

const ends: (() => Promise<unknown> | void)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).toReversed()) await end();
});

const diagnosisOf = (pid: number): NetlinkSocket => {
  const namespace = openNamespace(pid, 'net');
  const socket = withNetworkNamespace(namespace, () => NetlinkSocket.open(NETLINK_SOCK_DIAG));
  close(namespace);
  ends.push(() => socket.close());
  return socket;
};

const hold = async (things: readonly string[], session = 'setsid'): Promise<ResourceInput> => {
  const own = ['--pid', '--fork', '--kill-child', '--mount-proc', '--mount', '--net', '--ipc', '--uts'];
  const run = await start('unshare', [...own, 'sh', '-c', script(session), 'sh', HOLDER, ...things], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin' },
  });
  // Nothing in there has anything to put in order.
  ends.push(() => run.stop(0));
  const lines: string[] = [];
  for await (const line of createInterface({ input: run.stdout! })) {
    lines.push(line);
    if (line === 'ready') break;
  }
  expect(lines).toEqual(['ready']);
  const [initPid = 0] = childrenOf(run.pid);
  const rootPid = childrenOf(initPid).find(isHolder) ?? 0;
  const pids = [rootPid, ...descendantsOf(rootPid)];
  return { pids, initPid, rootPid, diagnosis: diagnosisOf(initPid) };
};

const kindsOf = (found: readonly { kind: string }[]): string[] =>
  [...new Set(found.map(({ kind }) => kind))].toSorted();

describe('blockers', () => {
  it('finds none in a program that holds what every application may hold', async () => {
    expect(blockers(await hold(['ordinary', 'hung_up_terminal']))).toEqual([]);
  });

  it.each([
    ['io_uring', 'io_uring'],
    ['userfaultfd', 'userfaultfd'],
    ['perf_event', 'perf_event'],
    ['secret_memory', 'secret-memory'],
    ['message_queue', 'message-queue'],
    ['device', 'device'],
    ['deleted_file', 'deleted-file'],
    ['mptcp_socket', 'socket'],
    ['unaccepted', 'in-flight'],
    ['unaccepted_unix', 'in-flight'],
    ['unread_netlink', 'netlink'],
    ['packet_pipe', 'pipe'],
    ['terminal', 'terminal'],
    ['namespace', 'namespace'],
    ['debugged', 'debugger'],
    ['main_thread', 'threads'],
    ['outside_process', 'pidfd'],
  ])('names %s', async (thing, kind) => {
    const input = await hold([thing]);
    const found = blockers(input);
    expect(kindsOf(found)).toEqual([kind]);
    const views = listProcesses(input);
    for (const { pid, process, what, why, advice } of found) {
      expect(views.map((view) => view.pid)).toContain(pid);
      expect([process, what, why, advice]).not.toContain('');
    }
  });

  it('names all of them at once', async () => {
    const found = blockers(await hold(['io_uring', 'message_queue', 'device', 'packet_pipe', 'ordinary']));
    expect(kindsOf(found)).toEqual(['device', 'io_uring', 'message-queue', 'pipe']);
  });

  it('names a session of outside', async () => {
    expect(kindsOf(blockers(await hold([], '')))).toEqual(['session']);
  });

  it('names a process beside the first one, and not what it holds', async () => {
    const input = await hold([]);
    const beside = await start(
      'nsenter',
      [`--target=${input.rootPid}`, '--mount', '--net', '--ipc', 'sh', '-c', 'echo; read line'],
      {
        stdio: ['pipe', 'pipe', 'inherit'],
      },
    );
    ends.push(() => beside.stop());
    expect(blockers({ ...input, pids: [...input.pids, beside.pid] })).toMatchObject([
      { kind: 'exec', pid: expect.any(Number) },
    ]);
  });

  it('leaves out processes that have ended', async () => {
    const input = await hold([]);
    expect(blockers({ ...input, pids: [...input.pids, 2 ** 22 - 1] })).toEqual([]);
  });
});

describe('listProcesses', () => {
  it('gives both IDs, and the parent inside', async () => {
    const input = await hold(['namespace']);
    const [first, second] = listProcesses(input);
    expect(first).toMatchObject({ systemPid: input.rootPid, parent: 1, uid: 0, threads: 1 });
    expect(first?.command).toBe(`python3 ${HOLDER} namespace`);
    expect(first?.rss).toBeGreaterThan(1 << 20);
    expect(second).toMatchObject({
      parent: first?.pid,
      command: expect.stringContaining('sleep 1000') as string,
    });
    expect(first?.pid).toBeLessThan(100);
  });
});

describe('holdings', () => {
  it('lists what is held by kind, with addresses, states and IDs', async () => {
    const found = holdings(await hold(['ordinary']));
    const of = (kind: string): string[] =>
      found.filter((each) => each.kind === kind).map(({ description }) => description);
    expect(of('tcp-socket')).toEqual(['0.0.0.0:8081, listening']);
    expect(of('udp-socket')).toEqual(['0.0.0.0:5353']);
    expect(of('unix-socket')).toEqual([
      expect.stringMatching(/^without a path, stream, connected to python3 \(\d+\)$/),
    ]);
    expect(of('deleted-file')).toEqual(['/var/tmp/holder-file, 0 B']);
    expect(of('system-v-shared-memory')).toEqual([
      expect.stringMatching(/^key 0x00001449, ID \d+, 4096 bytes, attached 0 times$/),
    ]);
    expect(of('system-v-semaphores')).toEqual([expect.stringMatching(/, 3 semaphores$/)]);
    expect(of('terminal').toSorted()).toEqual(['/dev/ptmx', expect.stringMatching(/^\/dev\/pts\/\d+$/)]);
    expect(of('memfd')).toEqual(['/memfd:holder']);
    expect(kindsOf(found)).toEqual(
      expect.arrayContaining(['eventfd', 'pidfd', 'pipe', 'device', 'memory', 'threads']),
    );
  });
});

describe('networkUse', () => {
  it('tells what is served to others, and what waits to be accepted', async () => {
    const { diagnosis } = await hold(['ordinary', 'unaccepted']);
    expect(networkUse(diagnosis)).toEqual({
      listening: [
        { protocol: 'tcp', address: '0.0.0.0', port: 8081 },
        { protocol: 'udp', address: '0.0.0.0', port: 5353 },
      ],
      connections: [],
      inFlight: 1,
      unsent: 0,
      halfClosed: 0,
    });
  });
});

describe('the reading of thirty processes', () => {
  it('takes about 15 ms', async () => {
    const input = await hold(['ordinary', ...Array.from({ length: 29 }, () => 'forked')]);
    expect(input.pids.length).toBe(30);
    // Time of this thread on a processor; twice of it and more when others are at work on the same machine.
    const times = Array.from({ length: 15 }, () => {
      const begin = process.threadCpuUsage();
      blockers(input);
      const { user, system } = process.threadCpuUsage(begin);
      return (user + system) / 1000;
    });
    expect(Math.min(...times)).toBeLessThan(40);
  });
});
