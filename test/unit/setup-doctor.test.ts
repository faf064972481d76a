import { mkdtemp, readFile, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { Engine } from '../../src/criu/index.ts';
import { missingCapabilities } from '../../src/setup/doctor/capabilities.ts';
import { judgeCgroups, parseCgroups } from '../../src/setup/doctor/cgroups.ts';
import { judgeGateway } from '../../src/setup/doctor/gateway.ts';
import { judgeRecord, judgeTrial } from '../../src/setup/doctor/engine.ts';
import { check, degraded, missing, ok } from '../../src/setup/doctor/finding.ts';
import {
  judgeGuard,
  judgeSeccomp,
  judgeSoftDirty,
  judgeUserfaultfd,
} from '../../src/setup/doctor/kernel-features.ts';
import {
  judgeCapabilities,
  judgeClock,
  judgeKernel,
  judgeNode,
  judgeSpace,
  judgeUser,
  nearestExisting,
} from '../../src/setup/doctor/machine.ts';
import { judgeNeighbours } from '../../src/setup/doctor/network.ts';
import { doctor } from '../../src/setup/index.ts';

const subject = { engineDir: '/nowhere/engine', dataDir: '/nowhere' };

describe('a check', () => {
  const parts = { name: 'thing', meaning: 'needed', advice: 'get it', gather: () => 1 };

  it('fills in its own meaning and advice, and advises nothing when all is well', async () => {
    expect(await check({ ...parts, judge: () => ok('there') })(subject, true)).toEqual({
      name: 'thing',
      status: 'ok',
      found: 'there',
      meaning: 'needed',
      advice: '',
    });
    expect(await check({ ...parts, judge: () => missing('gone') })(subject, true)).toMatchObject({
      status: 'missing',
      meaning: 'needed',
      advice: 'get it',
    });
    expect(
      await check({ ...parts, judge: () => degraded('half', 'slower', 'more') })(subject, true),
    ).toMatchObject({
      meaning: 'slower',
      advice: 'more',
    });
  });

  it('makes a finding of a probe that fails', async () => {
    const gather = (): number => {
      throw new Error('refused');
    };
    const finding = await check({ ...parts, gather, judge: () => ok('') })(subject, true);
    expect(finding).toMatchObject({ status: 'missing', found: 'refused', advice: 'get it' });
  });

  it('does not try what only root can', async () => {
    const gather = (): number => expect.unreachable();
    const finding = await check({ ...parts, needsRoot: true, gather, judge: () => ok('') })(subject, false);
    expect(finding).toMatchObject({ status: 'degraded', advice: 'run `sudo appshot doctor`' });
  });
});

describe('capabilities', () => {
  const status = (mask: bigint): string =>
    `Name:\tnode\nCapEff:\t${mask.toString(16).padStart(16, '0')}\nCapBnd:\t0\n`;
  const all = (1n << 41n) - 1n;

  it('are all there', () => {
    expect(judgeCapabilities(missingCapabilities(status(all))).status).toBe('ok');
  });

  it('work without CAP_SYS_RESOURCE, and say what is less', () => {
    const verdict = judgeCapabilities(missingCapabilities(status(all & ~(1n << 24n))));
    expect(verdict).toMatchObject({ status: 'degraded', found: 'lacks CAP_SYS_RESOURCE' });
  });

  it('do not work without CAP_SYS_ADMIN', () => {
    const verdict = judgeCapabilities(missingCapabilities(status(all & ~(1n << 21n))));
    expect(verdict).toMatchObject({ status: 'missing', found: 'lacks CAP_SYS_ADMIN' });
  });

  it('must be readable', () => {
    expect(() => missingCapabilities('Name:\tnode\n')).toThrow('no effective capabilities');
  });
});

describe('the machine', () => {
  it.each([
    [judgeUser(0), 'ok'],
    [judgeUser(1000), 'missing'],
    [judgeUser(undefined), 'missing'],
    [judgeKernel('5.10.0-30-amd64'), 'missing'],
    [judgeKernel('6.1.0-20-amd64'), 'degraded'],
    [judgeKernel('6.18.44'), 'ok'],
    [judgeKernel('7.0-rc1'), 'ok'],
    [judgeNode('v20.20.2'), 'missing'],
    [judgeNode('v24.0.0'), 'ok'],
    [judgeClock({ source: 'tsc', now: Date.UTC(2026, 0, 1) }), 'ok'],
    [judgeClock({ source: 'hpet', now: Date.UTC(2026, 0, 1) }), 'degraded'],
    [judgeClock({ source: 'tsc', now: 0 }), 'degraded'],
    [judgeSpace({ path: '/d', free: 50e6 }), 'missing'],
    [judgeSpace({ path: '/d', free: 1e9 }), 'degraded'],
    [judgeSpace({ path: '/d', free: 1e10 }), 'ok'],
    [judgeSoftDirty('VmFlags: rd ex mr mw me sd \n'), 'ok'],
    [judgeSoftDirty('VmFlags: rd ex mr mw me \n'), 'degraded'],
    [judgeSeccomp('kill_process errno log'), 'ok'],
    [judgeSeccomp('kill_process log'), 'missing'],
    [judgeGuard(true), 'ok'],
    [judgeGuard(false), 'degraded'],
    [judgeUserfaultfd(true), 'ok'],
    [judgeUserfaultfd(false), 'degraded'],
  ])('%j is %s', (verdict, status) => {
    expect(verdict.status).toBe(status);
  });

  it('looks at the nearest directory that exists', () => {
    expect(nearestExisting('/nowhere/at/all')).toBe('/');
    expect(nearestExisting(tmpdir())).toBe(tmpdir());
  });
});

describe('neighbour settings', () => {
  const usual = { probes: 3, intervalMs: 1000, queueBytes: 212_992, mostEntries: 1024 };
  it.each([
    [{}, 'ok'],
    [{ probes: 1, intervalMs: 500 }, 'missing'],
    [{ queueBytes: 4096 }, 'degraded'],
    [{ mostEntries: 128 }, 'degraded'],
  ])('%j is %s', (change, status) => {
    expect(judgeNeighbours({ ...usual, ...change }).status).toBe(status);
  });
});

describe('cgroups', () => {
  const v1 = (controller: string): string =>
    `30 25 0:26 / /sys/fs/cgroup/${controller} rw,nosuid - cgroup cgroup rw,${controller}\n`;
  const unified = (path: string): string =>
    `31 25 0:27 / ${path} rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n`;

  it('in one hierarchy', () => {
    const cgroups = parseCgroups(unified('/sys/fs/cgroup'), () => 'cpuset cpu io memory pids\n');
    expect(cgroups.layout).toBe('v2');
    expect(cgroups.controllers.memory).toEqual({ version: 2, path: '/sys/fs/cgroup' });
    expect(judgeCgroups(cgroups)).toEqual(ok('v2: memory v2, pids v2, cpu v2'));
  });

  it('in both', () => {
    const text = v1('memory') + unified('/sys/fs/cgroup/unified');
    const cgroups = parseCgroups(text, () => 'cpu');
    expect(cgroups.layout).toBe('hybrid');
    expect(cgroups.controllers.memory).toEqual({ version: 1, path: '/sys/fs/cgroup/memory' });
    expect(judgeCgroups(cgroups)).toMatchObject({
      status: 'degraded',
      found: 'hybrid: memory v1, cpu v2; lacks pids',
      meaning: 'limits of the number of processes are not kept',
    });
  });

  it('in many, or none', () => {
    expect(parseCgroups(v1('memory'), () => '').layout).toBe('v1');
    expect(judgeCgroups(parseCgroups('', () => '')).status).toBe('missing');
  });

  it('of this machine can be read', async () => {
    expect(() => parseCgroups('garbage - \n\n - cgroup', () => '')).not.toThrow();
    const own = parseCgroups(await readFile('/proc/self/mountinfo', 'utf8'), () => '');
    expect(['v1', 'v2', 'hybrid', 'none']).toContain(own.layout);
  });
});

describe('the engine', () => {
  const engine: Engine = {
    format: 1,
    version: '4.1.1',
    source: 'private',
    command: ['/criu'],
    descriptors: '/d',
    init: '/i',
    testedOn: { kernel: '6.1.0', machine: 'x86_64' },
  };
  it('was tried on this kernel, or another', () => {
    expect(judgeRecord({ engine, kernel: '6.1.0' }).status).toBe('ok');
    expect(judgeRecord({ engine, kernel: '6.2.0' }).status).toBe('degraded');
  });

  it('must be the version on record', () => {
    expect(judgeTrial({ engine, version: '4.1.1' }).status).toBe('ok');
    expect(judgeTrial({ engine, version: '4.2' }).status).toBe('missing');
  });
});

describe('the web gateway', () => {
  it.each([
    [
      'HAProxy version 2.6.12-1+deb12u4 2026/10/17 - https://haproxy.org/\nStatus: long-term',
      'ok',
      /2\.6\.12/,
    ],
    ['HAProxy version 3.0.11-1 2025/06/03', 'ok', /3\.0\.11/],
    ['HA-Proxy version 2.2.9-2+deb11u6 2023/12/15', 'degraded', /2\.2\.9-2\+deb11u6, older than 2\.6/],
    ['HAProxy version 2.10.0', 'ok', /2\.10/],
    [undefined, 'degraded', /there is no/],
  ])('by what it says of itself: %s', (printed, status, found) => {
    expect(judgeGateway(printed)).toMatchObject({ status, found: expect.stringMatching(found) });
  });
});

describe('doctor', () => {
  it('finds something about everything, never fails, and leaves nothing behind', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'appshot-doctor-'));
    try {
      const findings = await doctor({
        engineDir: join(directory, 'engine'),
        dataDir: join(directory, 'data'),
      });
      expect(new Set(findings.map(({ name }) => name)).size).toBe(findings.length);
      expect(findings.find(({ name }) => name === 'engine')).toMatchObject({
        status: 'missing',
        advice: 'run `appshot setup`',
      });
      expect(findings.filter(({ meaning }) => meaning === '')).toEqual([]);
      expect(findings.filter(({ status, advice }) => (status === 'ok') !== (advice === ''))).toEqual([]);
      expect(await readdir(directory)).toEqual([]);
    } finally {
      await rm(directory, { recursive: true });
    }
  });
});
