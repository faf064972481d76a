/** When the hosts file is written: once for the changes of a moment, never for what moves no name, and again after a fault. */
import { hostname } from 'node:os';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { OutsideNames } from '../../src/application/outside.ts';
import type { Logger } from '../../src/common/index.ts';
import type { HostsEntry } from '../../src/names/index.ts';
import type { ApplicationRecord } from '../../src/registry/index.ts';

const MOMENT = 50;

const record = (name: string, last: number, more: object = {}): ApplicationRecord =>
  ({ name, hostname: name, address: `10.10.0.${last}`, state: 'running', spec: more }) as ApplicationRecord;

let instances: ApplicationRecord[];
let written: (readonly HostsEntry[])[];
let faults: Error[];
let logged: unknown[];
let outside: OutsideNames;

beforeEach(() => {
  vi.useFakeTimers();
  [instances, written, faults, logged] = [[record('web', 2)], [], [], []];
  const write = (entries: readonly HostsEntry[]): Promise<void> => {
    const fault = faults.shift();
    if (fault) return Promise.reject(fault);
    written.push(entries);
    return Promise.resolve();
  };
  const log = { error: (context: unknown) => logged.push(context) } as unknown as Logger;
  outside = new OutsideNames({ file: { write }, instances: () => instances, log });
});

afterEach(() => {
  vi.useRealTimers();
});

const change = async (next: ApplicationRecord[]): Promise<void> => {
  instances = next;
  outside.tellSoon();
  await vi.advanceTimersByTimeAsync(MOMENT);
};

describe('the names outside', () => {
  it('are written once for many changes', async () => {
    for (let last = 2; last < 100; last += 1) {
      instances = [record('web', last)];
      outside.tellSoon();
    }
    expect(written).toEqual([]);
    await vi.advanceTimersByTimeAsync(MOMENT);
    expect(written.map(([entry]) => entry?.address)).toEqual(['10.10.0.99']);
  });

  it('are not written when only states change', async () => {
    await change([record('web', 2)]);
    await change([{ ...record('web', 2), state: 'asleep' }]);
    expect(written).toHaveLength(1);
  });

  it('are an instance’s name and its service’s, in full where the network is not the default one', async () => {
    await change([
      record('shop-1', 2, { service: 'shop' }),
      record('shop-2', 3, { service: 'shop', network: 'blue' }),
    ]);
    expect(written).toEqual([
      [
        {
          address: '10.10.0.2',
          names: [
            'shop-1.default.appshot.internal',
            'shop-1.appshot.internal',
            'shop.default.appshot.internal',
            'shop.appshot.internal',
            'shop-1',
            'shop',
          ],
        },
        { address: '10.10.0.3', names: ['shop-2.blue.appshot.internal', 'shop.blue.appshot.internal'] },
      ],
    ]);
  });

  it('never say anything else of this machine', async () => {
    await change([record('localhost', 2), record(hostname(), 3)]);
    const [entries = []] = written;
    expect(entries.flatMap(({ names }) => names)).not.toContain('localhost');
    expect(entries.flatMap(({ names }) => names)).not.toContain(hostname());
    expect(entries.map(({ names }) => names[0])).toContain('localhost.default.appshot.internal');
  });

  it('are tried again at the next change, whatever it is, and the fault is told of once', async () => {
    const fault = (): Error => new Error('EROFS: read-only file system');
    faults = [fault(), fault(), fault()];
    for (const state of ['running', 'asleep', 'waking'] as const)
      await change([{ ...record('web', 2), state }]);
    expect([written.length, logged.length]).toEqual([0, 1]);
    await change([record('web', 2)]);
    expect(written).toHaveLength(1);
    faults = [fault()];
    await change([record('web', 9)]);
    expect(logged).toHaveLength(2);
  });

  it('are written before the daemon ends', async () => {
    outside.tellSoon();
    await outside.close();
    expect(written).toHaveLength(1);
  });
});
