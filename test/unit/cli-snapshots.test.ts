/** The verbs of snapshots as a user types them: what they ask the daemon for, and what they print. */
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CannedDaemon, web } from '../support/canned-daemon.ts';
import type { Answers } from '../support/canned-daemon.ts';

const entry = {
  snapshot: '01A',
  takenAt: '2026-01-01T00:00:00Z',
  bytes: 4096,
  parent: null,
  pinned: false,
  expiresAt: null,
  kind: 'snapshot',
  memory: { layered: 4096, copied: 0 },
  durable: true,
  current: true,
};
const sent = { snapshot: '01A', bytes: 4096, transferred: 1024, ms: 8 };

const answers: Answers = {
  'GET /v1/apps?all=true': { body: [web] },
  'POST /v1/apps/web/wake': {
    body: { ...web, memory: { mode: 'copy', reason: 'asked for' }, snapshot: '01A', ms: 9, timings: [] },
  },
  'POST /v1/apps/web/snapshots': {
    status: 201,
    body: {
      aid: '01J',
      name: 'web',
      state: 'running',
      snapshot: '01A',
      bytes: 4096,
      frozenMs: 3,
      parent: null,
      ms: 5,
      timings: [],
      pinned: false,
      expiresAt: null,
    },
  },
  'GET /v1/apps/web/snapshots': { body: [entry] },
  'GET /v1/apps/01J/snapshots': { body: [entry] },
  'PATCH /v1/snapshots/01A': { body: { ...entry, pinned: true } },
  'DELETE /v1/snapshots/01A': { body: '' },
  'POST /v1/gc': { body: { snapshots: 1, objects: 2, layers: 3, bytes: 4096 } },
  'POST /v1/apps/web/rewind': {
    body: { aid: '01J', name: 'web', state: 'running', snapshot: '01A', closed: [], ms: 7 },
  },
  'POST /v1/apps/web/fork': { status: 201, body: { ...web, snapshot: '01A', closed: [], ms: 7 } },
  'POST /v1/apps/web/export': { body: sent },
  'POST /v1/apps/web/push': { body: sent },
  'POST /v1/import': { status: 201, body: { ...web, ...sent, state: 'asleep' } },
  'POST /v1/pull': { status: 201, body: { ...web, ...sent, state: 'asleep' } },
};
let daemon: CannedDaemon;

beforeAll(async () => {
  daemon = await CannedDaemon.start(answers);
});
afterAll(() => daemon.close());

const run = (...words: string[]) => daemon.run(...words);

describe('the verbs of snapshots', () => {
  const ask = async (...words: string[]) => {
    const { code, stdout, stderr } = await run(...words);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    const { path, body } = daemon.asked.at(-1) ?? { path: '', body: '' };
    return { stdout, path, body: (body === '' ? undefined : JSON.parse(body)) as unknown };
  };

  it.each([
    [
      ['wake', '--memory', 'copy', 'web'],
      { memory: 'copy' },
      'web running 10.10.0.2, woken in 9ms (copy: asked for)',
    ],
    [['wake', 'web'], {}, 'web running 10.10.0.2, woken in 9ms (copy: asked for)'],
    [
      ['snapshot', '--pin', 'web'],
      { pin: true },
      'web saved as 01A, 4 KiB in 5ms (frozen for 3ms); it goes on',
    ],
    [
      ['snapshot', '--ttl', '7d', 'web'],
      { ttl: 604800 },
      'web saved as 01A, 4 KiB in 5ms (frozen for 3ms); it goes on',
    ],
    [['rewind', 'web', '01A'], { snapshot: '01A' }, 'web running, rewound to 01A in 7ms'],
    [
      ['fork', 'web@01A', '--name', 'then', '--hostname', 'h'],
      { snapshot: '01A', name: 'then', hostname: 'h' },
      'web running 10.10.0.2, forked from 01A in 7ms',
    ],
    [['pin', '01A'], { pinned: true }, '01A pinned'],
    [['unpin', '01A'], { pinned: false }, '01A unpinned'],
    [['discard', '01A'], undefined, '01A removed'],
    [['gc', '--dry-run'], { dryRun: true }, 'would remove 1 snapshot, 3 layers, 2 objects: 4 KiB'],
    [
      ['export', 'web@01A', '/tmp/../x', '--sign', '/k', '--encrypt-key', '/e'],
      { file: '/x', snapshot: '01A', sign: '/k', key: '/e' },
      '01A sent to /x, 1 KiB of 4 KiB in 8ms',
    ],
    [
      ['import', 'x', '--name', 'new', '--verify', '/k', '--passphrase-file', '/p', '--force'],
      { file: join(process.cwd(), 'x'), name: 'new', verify: '/k', passphraseFile: '/p', force: true },
      'web asleep 10.10.0.2, received as 01A, 1 KiB of 4 KiB in 8ms',
    ],
    [
      ['push', 'web', 'r.example/web:1', '--plain-http'],
      { ref: 'r.example/web:1', plainHttp: true },
      '01A sent to r.example/web:1, 1 KiB of 4 KiB in 8ms',
    ],
    [
      ['pull', 'r.example/web:1', '--decrypt-key', '/e'],
      { ref: 'r.example/web:1', plainHttp: false, key: '/e', force: false },
      'web asleep 10.10.0.2, received as 01A, 1 KiB of 4 KiB in 8ms',
    ],
  ])('%j', async (words, expected, line) => {
    const { stdout, body } = await ask(...words);
    expect(body).toEqual(expected);
    expect(stdout).toBe(`${line}\n`);
  });

  it('print what scripts rely on', async () => {
    const { stdout } = await ask('snapshot', 'web', '--json');
    expect(JSON.parse(stdout)).toMatchObject({ snapshot: '01A', bytes: 4096, frozenMs: 3, parent: null });
    expect(JSON.parse((await ask('history', 'web', '--json')).stdout)).toEqual([entry]);
    expect((await ask('history', 'web')).stdout).toMatch(/^ +SNAPSHOT .*\n\* +01A /);
    expect(JSON.parse((await ask('import', 'x', '--json')).stdout)).toMatchObject({
      ...sent,
      state: 'asleep',
    });
    expect(JSON.parse((await ask('discard', '01A', '--json')).stdout)).toEqual({
      snapshot: '01A',
      removed: true,
    });
  });

  it('complete the IDs of snapshots', async () => {
    for (const words of [['rewind', 'web'], ['diff', 'web', '01A'], ['pin']])
      expect((await run('complete', '--', ...words, '')).stdout).toMatch(/^01A\tsnapshot 2026-/);
  });
});
