/** What the command line prints, without running it. */
import { describe, expect, it } from 'vitest';
import type { AppDetail, AppView, CheckReport, DiffReport, HistoryEntry } from '../../src/api/index.ts';
import { readAppAt } from '../../src/cli/app-at.ts';
import { deriveName } from '../../src/cli/command-words.ts';
import { formatFailure } from '../../src/cli/failure.ts';
import { formatFields, formatTable } from '../../src/cli/output.ts';
import { formatDetail } from '../../src/cli/verbs/detail.ts';
import { formatDiff } from '../../src/cli/verbs/diff.ts';
import { exitCodeOf } from '../../src/cli/verbs/exec.ts';
import { formatHistory, tellRewind } from '../../src/cli/verbs/history.ts';
import { formatFindings, formatStep } from '../../src/cli/verbs/machine.ts';
import { tellGc } from '../../src/cli/verbs/snapshots.ts';
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
  memory: null,
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
    const noUse = { cpu: null, memory: null, tasks: null, packets: null, idleSeconds: null, requests: null };
    const row = {
      aid: '01J',
      name: 'web',
      state: 'running',
      cpu: 0.5,
      memory: 1024,
      tasks: 3,
      packets: 9,
      idleSeconds: 90,
      priority: 50,
      requests: 2,
      decision: { at: 'T', what: 'wake', reason: 'asked' },
    } as const;
    const none = { ...noUse, decision: null };
    const lines = formatTop([row, { ...row, ...none, state: 'asleep' }]).split('\n');
    expect(lines[1]).toMatch(/^web +running +50 +50\.0% +1 KiB +3 +9 +2 +1\.5m +wake: asked$/);
    expect(lines[2]).toMatch(/^web +asleep +50( +-){7}$/);
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
      template: null,
      generation: 0,
      memory: { mode: 'layer', reason: 'the fastest' },
      lastWake: { ...web, snapshot: 'S1', ms: 12, timings: [{ step: 'restore', ms: 10 }] },
      files: '/var/lib/appshot/apps/01J',
      logs: [],
    };
    const text = formatDetail(detail);
    expect(text).toContain('limits:      memory 1 MiB, 0.5 CPUs');
    expect(text).toContain('volumes:     /a:/b:ro');
    expect(text).toContain('snapshot:    S1, taken T, 2 KiB in 3 files');
    expect(text).toContain('memory:      layer: the fastest');
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

describe('the past', () => {
  const first: HistoryEntry = {
    snapshot: '01A',
    takenAt: '2026-01-01T00:00:00Z',
    bytes: 1 << 20,
    parent: null,
    pinned: true,
    expiresAt: null,
    kind: 'snapshot',
    memory: { layered: 2048, copied: 0 },
    durable: true,
    current: false,
  };
  const second: HistoryEntry = {
    ...first,
    snapshot: '01B',
    takenAt: '2026-01-01T00:02:00Z',
    parent: '01A',
    pinned: false,
    expiresAt: '2026-01-01T01:03:00Z',
    kind: 'sleep',
    memory: { layered: 1024, copied: 512 },
    durable: false,
    current: true,
  };

  it('begins with what is nearest', () => {
    const lines = formatHistory([first, second], Date.parse('2026-01-01T00:03:00Z')).split('\n');
    expect(lines).toHaveLength(3);
    expect(lines[1]).toMatch(
      /^\* +01B +1m +sleep \(being written\) +1 MiB +1 KiB \+ 512 B copied +for 1h +01A$/,
    );
    expect(lines[2]).toMatch(/^ +01A +3m +snapshot +1 MiB +2 KiB +pinned$/);
  });

  it('names the connections that it cannot continue', () => {
    const result = { aid: '01J', name: 'web', state: 'running', snapshot: '01A', ms: 12 } as const;
    expect(tellRewind({ ...result, closed: [] })).toBe('web running, rewound to 01A in 12ms');
    expect(tellRewind({ ...result, closed: [{ local: '10.0.0.2:80', remote: '10.0.0.1:9' }] })).toBe(
      'web running, rewound to 01A in 12ms\nclosed 10.0.0.2:80 - 10.0.0.1:9: the other end has gone on',
    );
  });

  it('has a section for each kind of difference', () => {
    const none = { added: [], removed: [] };
    const same: DiffReport = {
      aid: '01J',
      name: 'web',
      from: '01A',
      to: '01B',
      files: [],
      memory: [],
      descriptors: none,
      sockets: none,
      processes: none,
    };
    expect(formatDiff(same)).toBe('nothing changed from 01A to 01B');
    const text = formatDiff({
      ...same,
      files: [
        { path: `/tmp/${hostile}`, change: 'added', bytes: 2048 },
        { path: '/tmp/old', change: 'removed', bytes: null },
      ],
      memory: [{ pid: 2, process: 'node', start: '0x1000', end: '0x3000', what: '[heap]', pagesChanged: 2 }],
      descriptors: { added: [{ pid: 2, process: 'node', fd: 9, what: '/tmp/x' }], removed: [] },
      sockets: {
        added: [],
        removed: [
          { kind: 'tcp', local: '10.0.0.2:80', remote: '10.0.0.1:9', state: 'established' },
          { kind: 'udp', local: '0.0.0.0:53', remote: null, state: null },
        ],
      },
      processes: { added: [{ pid: 7, command: 'sh' }], removed: [{ pid: 3, command: 'cat' }] },
    });
    expect(text.split('\n\n').map((section) => section.split('\n')[0])).toEqual([
      'Processes',
      'Files',
      'Memory',
      'Descriptors',
      'Sockets',
    ]);
    expect(text).toMatch(/^- +3 +cat\n\+ +7 +sh$/m);
    expect(text).toMatch(/^\+ +2 KiB +\/tmp\/a\\x1b\[2Jb\n- +\/tmp\/old$/m);
    expect(text).toMatch(/^~ +2 +node +2 +0x1000-0x3000 +\[heap\]$/m);
    expect(text).toMatch(/^- +tcp +10\.0\.0\.2:80 +10\.0\.0\.1:9 +established\n- +udp +0\.0\.0\.0:53$/m);
  });

  it('tells what was collected', () => {
    const report = { snapshots: 1, objects: 2, layers: 0, bytes: 1024 };
    expect(tellGc(report, false)).toBe('removed 1 snapshot, 0 layers, 2 objects: 1 KiB');
    expect(tellGc(report, true)).toMatch(/^would remove /);
  });
});

describe('an application at a snapshot', () => {
  it.each([
    ['web', { app: 'web' }],
    ['web@01jd', { app: 'web', snapshot: '01jd' }],
  ])('%s is read', (word, expected) => expect(readAppAt(word)).toEqual(expected));

  it.each(['web@', '@01', 'web@a@b', 'web@../x'])('%s is refused', (word) => {
    expect(() => readAppAt(word)).toThrow('is neither APP nor APP@SNAPSHOT');
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
