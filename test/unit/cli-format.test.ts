/** What the command line prints, without running it. */
import { describe, expect, it } from 'vitest';
import type { AppDetail, AppView, CheckReport } from '../../src/api/index.ts';
import { deriveName } from '../../src/cli/command-words.ts';
import { formatFailure } from '../../src/cli/failure.ts';
import { formatFields, formatTable } from '../../src/cli/output.ts';
import { formatDetail } from '../../src/cli/verbs/detail.ts';
import { exitCodeOf } from '../../src/cli/verbs/exec.ts';
import { formatFindings, formatStep } from '../../src/cli/verbs/machine.ts';
import { formatEvent, formatLogLine } from '../../src/cli/verbs/streams.ts';
import { formatTop } from '../../src/cli/verbs/top.ts';
import { formatApps, formatReport } from '../../src/cli/verbs/views.ts';
import { AppShotError } from '../../src/common/index.ts';

const web: AppView = {
  aid: '01J',
  name: 'web',
  state: 'running',
  address: '10.10.0.2',
  hostname: 'web',
  createdAt: '2026-01-01T00:00:00Z',
  since: '2026-01-01T00:00:00Z',
};
const hostile = 'a\u001b[2Jb';
const visible = String.raw`a\x1b[2Jb`;

describe('a table', () => {
  it('is as wide as it needs be, and safe', () => {
    expect(
      formatTable(
        ['NAME', 'X'],
        [
          ['w', 'one'],
          [hostile, ''],
        ],
      ),
    ).toBe(`NAME       X\nw          one\n${visible}`);
  });

  it('puts values below each other', () => {
    expect(formatFields({ a: '1', none: undefined, long: hostile })).toBe(`a:    1\nlong: ${visible}`);
  });
});

describe('what is printed', () => {
  it('lists applications', () => {
    const now = Date.parse('2026-01-01T00:03:00Z');
    expect(formatApps([web], now)).toBe(
      'NAME  STATE    ADDRESS    HOSTNAME  SINCE  AID\nweb   running  10.10.0.2  web       3m     01J',
    );
  });

  it('reports what blocks', () => {
    const report: CheckReport = { aid: '01J', name: 'web', ok: true, blockers: [] };
    const blocker = {
      kind: 'io_uring',
      pid: 7,
      process: hostile,
      what: 'a ring',
      why: 'cannot',
      advice: 'disable it',
    };
    expect(formatReport(report)).toBe('web can be saved');
    expect(formatReport({ ...report, ok: false, blockers: [blocker] })).toMatch(
      /^PID +PROCESS .*\n7 +a\\x1b\[2Jb +a ring +cannot +disable it$/,
    );
  });

  it('shows use', () => {
    const row = {
      aid: '01J',
      name: 'web',
      state: 'running',
      cpu: 0.5,
      memory: 1024,
      tasks: 3,
      packets: 9,
      idleSeconds: 90,
    } as const;
    const none = { cpu: null, memory: null, tasks: null, packets: null, idleSeconds: null };
    const lines = formatTop([row, { ...row, ...none, state: 'asleep' }]).split('\n');
    expect(lines[1]).toMatch(/^web +running +50\.0% +1 KiB +3 +9 +1\.5m$/);
    expect(lines[2]).toMatch(/^web +asleep( +-){5}$/);
  });

  it('shows lines and events', () => {
    const line = { process: 'web', stream: 'stdout', text: `x\t${hostile}` } as const;
    expect(formatLogLine(line, false)).toBe(line.text);
    expect(formatLogLine(line, true)).toBe(`web | x\t${visible}`);
    expect(formatEvent({ id: 4, at: 'T', type: 'asleep', name: 'web', reason: hostile })).toBe(
      `T  #4  asleep  web  ${visible}`,
    );
    expect(formatEvent({ id: 4, at: 'T', type: 'ready' })).toBe('T  #4  ready');
  });

  it('shows an application', () => {
    const detail: AppDetail = {
      ...web,
      spec: {
        name: 'web',
        processes: [],
        volumes: [{ source: '/a', target: '/b', readOnly: true }],
        limits: { memory: 1 << 20, cpus: 0.5 },
        capabilities: { add: [], drop: [] },
      },
      environment: null,
      snapshot: { id: 'S1', takenAt: 'T', bytes: 2048, files: 3 },
      processes: [{ pid: 1, systemPid: 900, parent: 0, uid: 0, command: hostile, threads: 2, rss: 4096 }],
      resources: [{ kind: 'socket', description: 'tcp 10.10.0.2:80' }],
      listening: [{ protocol: 'tcp', address: '0.0.0.0', port: 80 }],
      connections: 1,
      failure: { step: 'dump', code: 'SLEEP_FAILED', message: 'no', at: 'T' },
      lastSleep: null,
      lastWake: { ...web, snapshot: 'S1', ms: 12, timings: [{ step: 'restore', ms: 10 }] },
      files: '/var/lib/appshot/apps/01J',
      logs: [],
    };
    const text = formatDetail(detail);
    expect(text).toContain('limits:      memory 1 MiB, 0.5 CPUs');
    expect(text).toContain('volumes:     /a:/b:ro');
    expect(text).toContain('snapshot:    S1, taken T, 2 KiB in 3 files');
    expect(text).toContain('last wake:   12ms (restore 10ms)');
    expect(text).toContain('failure:     no [SLEEP_FAILED] at step dump, T');
    expect(text).toMatch(/\n1 +900 +0 +0 +2 +4 KiB +a\\x1b\[2Jb\n/);
    expect(text).toMatch(/\nsocket +tcp 10\.10\.0\.2:80$/);
    expect(text).not.toContain('last sleep');
  });

  it('shows what doctor found and set-up does', () => {
    const good = { name: 'kernel', status: 'ok', found: '6.18', meaning: 'm', advice: '' } as const;
    const bad = {
      name: 'criu',
      status: 'missing',
      found: 'none',
      meaning: 'no sleep',
      advice: 'run setup',
    } as const;
    expect(formatFindings([good])).toBe('STATUS  NAME    FOUND\nok      kernel  6.18');
    expect(formatFindings([good, bad])).toMatch(/\nmissing +criu +none\n\ncriu: no sleep\n {2}-> run setup$/);
    expect(formatStep({ name: 'criu', state: 'done', detail: '4.1' })).toBe('criu: done (4.1)');
  });

  it('tells of a failure in one line', () => {
    const error = new AppShotError('APP_NOT_FOUND', { name: `${hostile}\nx` });
    expect(formatFailure(error)).toBe(
      `appshot: no application is called ${visible}\\nx; \`appshot ps --all\` lists them [APP_NOT_FOUND]`,
    );
  });
});

describe('an exit code', () => {
  it.each([
    [0, null, 0],
    [3, null, 3],
    [null, 'SIGKILL', 137],
    [null, 'SIGTERM', 143],
    [null, 'SIGNONSENSE', 128],
  ])('of %j and %j is %i', (code, signal, expected) => {
    expect(exitCodeOf({ type: 'exit', code, signal })).toBe(expected);
  });
});

describe('a derived name', () => {
  it.each([
    ['/usr/bin/redis-server', 'redis-server'],
    ['./server.js', 'server'],
    ['My_App', 'my-app'],
    ['7zip', 'zip'],
    ['python3.11', 'python3'],
    ['[', 'app'],
    ['x'.repeat(80), 'x'.repeat(63)],
    ['a-', 'a'],
  ])('of %s is %s', (program, name) => expect(deriveName([program])).toBe(name));
});
