/** What every registry must do. A store runs the suite by telling how to open an empty one. */
import { describe, expect, it, onTestFinished } from 'vitest';
import type { Registration, Registry, SnapshotRecord, TemplateRecord } from '../../src/registry/index.ts';

const NETWORK = '10.10.0.0/16';

export const registrationOf = (name: string, more: Partial<Registration> = {}): Registration => ({
  name,
  hostname: name,
  network: NETWORK,
  spec: {
    name,
    processes: [{ name: 'main', command: ['sleep', '1'], environment: {} }],
    volumes: [],
    limits: {},
    capabilities: { add: [], drop: [] },
  },
  ...more,
});

export const snapshotOf = (aid: string, id: string): SnapshotRecord => ({
  id,
  aid,
  takenAt: '2026-01-02T03:04:05.678Z',
  kind: 'sleep',
  bytes: 3 * 2 ** 40,
  parent: null,
  manifest: `snapshots/${id}/manifest.json`,
  digest: '0'.repeat(64),
  durable: false,
  pinned: true,
  expiresAt: null,
  tree: null,
});

const failsWith = (code: string) => expect.objectContaining({ code }) as Error;

/** `open` gives an empty registry each time; the suite closes it. */
export const registryContract = (open: () => Promise<Registry>): void => {
  const opened = async (): Promise<Registry> => {
    const registry = await open();
    onTestFinished(() => registry.close());
    return registry;
  };

  describe('registration', () => {
    it('gives an AID, an address and the first epoch, and finds by name and AID', async () => {
      const registry = await opened();
      const web = await registry.registerApplication(registrationOf('web', { change: { operation: 'run' } }));
      expect(web).toMatchObject({ state: 'registered', epoch: 1, address: '10.10.0.2', operation: 'run' });
      expect(web.aid).toMatch(/^[0-9A-HJKMNP-TV-Z]{26}$/);
      expect(web.since).toBe(web.createdAt);
      expect(await registry.find('web')).toEqual(web);
      expect(await registry.find(web.aid)).toEqual(web);
      expect(await registry.find('other')).toBeUndefined();
      expect(await registry.list()).toEqual([web]);
    });

    it('takes an AID and an address from the user', async () => {
      const registry = await opened();
      const web = await registry.registerApplication(
        registrationOf('web', { aid: 'W1', requested: '10.10.7.7' }),
      );
      expect(web).toMatchObject({ aid: 'W1', address: '10.10.7.7' });
    });

    it('refuses a taken name, AID or address, and changes nothing then', async () => {
      const registry = await opened();
      await registry.registerApplication(registrationOf('web', { aid: 'W1', requested: '10.10.0.9' }));
      const attempt = (name: string, more: Partial<Registration>) =>
        registry.registerApplication(registrationOf(name, more));
      await expect(attempt('web', {})).rejects.toThrow(failsWith('NAME_TAKEN'));
      await expect(attempt('db', { aid: 'W1' })).rejects.toThrow(failsWith('AID_TAKEN'));
      await expect(attempt('db', { aid: 'web' })).rejects.toThrow(failsWith('AID_TAKEN'));
      await expect(attempt('W1', {})).rejects.toThrow(failsWith('NAME_TAKEN'));
      await expect(attempt('db', { requested: '10.10.0.9' })).rejects.toThrow(failsWith('ADDRESS_IN_USE'));
      expect(await registry.list()).toHaveLength(1);
      expect(await attempt('db', {})).toMatchObject({ address: '10.10.0.2' });
    });

    it('gives each of many at once its own address and name', async () => {
      const registry = await opened();
      const names = Array.from({ length: 20 }, (_, index) => `app${index % 10}`);
      const results = await Promise.allSettled(
        names.map((name) => registry.registerApplication(registrationOf(name))),
      );
      expect(results.filter(({ status }) => status === 'fulfilled')).toHaveLength(10);
      expect(new Set((await registry.list()).map(({ address }) => address)).size).toBe(10);
    });

    it('forgets an application with its address and snapshots', async () => {
      const registry = await opened();
      const { aid } = await registry.registerApplication(registrationOf('web', { requested: '10.10.0.9' }));
      await registry.addSnapshot(snapshotOf(aid, 'S1'));
      expect(await registry.remove(aid)).toBe(true);
      expect(await registry.remove(aid)).toBe(false);
      expect(await registry.find('web')).toBeUndefined();
      expect(await registry.getSnapshot('S1')).toBeUndefined();
      const again = await registry.registerApplication(registrationOf('web', { requested: '10.10.0.9' }));
      expect(again.aid).not.toBe(aid);
    });
  });

  describe('change', () => {
    it('lets one of many wakers win', async () => {
      const registry = await opened();
      const { aid } = await registry.registerApplication(registrationOf('web', { state: 'asleep' }));
      const wakes = Array.from({ length: 20 }, () =>
        registry.transition(aid, { states: ['asleep'] }, 'waking', { operation: 'wake', environment: 'E1' }),
      );
      const won = (await Promise.all(wakes)).filter((record) => record !== undefined);
      expect(won).toHaveLength(1);
      expect(won[0]).toMatchObject({ state: 'waking', epoch: 2, operation: 'wake', environment: 'E1' });
      expect(await registry.find(aid)).toEqual(won[0]);
    });

    it('is refused with an old epoch, in another state, or when the application is gone', async () => {
      const registry = await opened();
      const { aid, epoch } = await registry.registerApplication(registrationOf('web'));
      await registry.transition(aid, { states: ['registered'] }, 'starting');
      expect(await registry.transition(aid, { states: ['starting'], epoch }, 'running')).toBeUndefined();
      expect(await registry.transition(aid, { states: ['registered'] }, 'running')).toBeUndefined();
      expect(await registry.transition('gone', { states: ['registered'] }, 'running')).toBeUndefined();
      const now = await registry.find(aid);
      expect(now).toMatchObject({ state: 'starting', epoch: epoch + 1 });
      const expected = { states: ['running', 'starting'] as const, epoch: epoch + 1 };
      expect(await registry.transition(aid, expected, 'running')).toMatchObject({ epoch: epoch + 2 });
    });

    it('beside the state keeps the epoch and merges data key by key', async () => {
      const registry = await opened();
      const { aid, since } = await registry.registerApplication(
        registrationOf('web', { change: { data: { a: 1, b: 2 } } }),
      );
      const failure = { step: 'dump', code: 'NO_SPACE', message: 'full', at: since };
      await registry.update(aid, { step: 'dump', failure });
      const changed = await registry.update(aid, { step: undefined, data: { b: undefined, c: [3] } });
      expect(changed).toMatchObject({ epoch: 1, since, step: 'dump', failure });
      expect(changed.data).toStrictEqual({ a: 1, c: [3] });
      expect(await registry.find(aid)).toStrictEqual(changed);
      expect(await registry.update(aid, { step: null, failure: null })).toMatchObject({
        step: null,
        failure: null,
      });
      await expect(registry.update('gone', {})).rejects.toThrow(failsWith('APP_NOT_FOUND'));
    });

    it('of state tells since when', async () => {
      const registry = await opened();
      const { aid } = await registry.registerApplication(registrationOf('web'));
      const running = await registry.transition(aid, { states: ['registered'] }, 'running');
      const again = await registry.transition(aid, { states: ['running'] }, 'running');
      expect(again).toMatchObject({ since: running?.since, epoch: 3 });
      expect(Date.parse(running?.since ?? '')).toBeGreaterThan(Date.now() - 60_000);
    });
  });

  describe('snapshots', () => {
    it('are kept in order, and the application is asleep on one in the same step', async () => {
      const registry = await opened();
      const { aid } = await registry.registerApplication(registrationOf('web'));
      const running = await registry.transition(aid, { states: ['registered'] }, 'running', {
        environment: 'E1',
      });
      await registry.addSnapshot(snapshotOf(aid, 'S2'));
      const asleep = await registry.commitSleep(aid, running?.epoch ?? 0, snapshotOf(aid, 'S1'), {
        environment: null,
      });
      expect(asleep).toMatchObject({ state: 'asleep', snapshot: 'S1', environment: null, epoch: 3 });
      expect(await registry.listSnapshots(aid)).toEqual([snapshotOf(aid, 'S2'), snapshotOf(aid, 'S1')]);
      expect(await registry.getSnapshot('S1')).toEqual(snapshotOf(aid, 'S1'));
      expect(await registry.removeSnapshot('S2')).toBe(true);
      expect(await registry.removeSnapshot('S2')).toBe(false);
      expect(await registry.listSnapshots(aid)).toHaveLength(1);
    });

    it('change in what may change, and in nothing that was not named', async () => {
      const registry = await opened();
      const { aid } = await registry.registerApplication(registrationOf('web'));
      const [one, other] = [
        snapshotOf(aid, 'S1'),
        { ...snapshotOf(aid, 'S2'), kind: 'fork', parent: 'S1' } as const,
      ];
      await registry.addSnapshot(one);
      await registry.addSnapshot(other);
      const tree = '1'.repeat(64);
      expect(await registry.updateSnapshot('S1', { tree })).toEqual({ ...one, tree });
      const kept = {
        bytes: 7,
        manifest: '/elsewhere/manifest.json',
        digest: '2'.repeat(64),
        durable: true,
        pinned: false,
        expiresAt: '2027-01-02T03:04:05.678Z',
      };
      expect(await registry.updateSnapshot('S1', kept)).toEqual({ ...one, tree, ...kept });
      expect(await registry.getSnapshot('S1')).toEqual({ ...one, tree, ...kept });
      expect(await registry.updateSnapshot('S1', { expiresAt: null })).toMatchObject({
        durable: true,
        expiresAt: null,
      });
      expect(await registry.listSnapshots()).toEqual([{ ...one, tree, ...kept, expiresAt: null }, other]);
    });

    it('that are gone do not change', async () => {
      const registry = await opened();
      const { aid } = await registry.registerApplication(registrationOf('web'));
      await registry.addSnapshot(snapshotOf(aid, 'S1'));
      await registry.removeSnapshot('S1');
      expect(await registry.updateSnapshot('S1', { durable: true })).toBeUndefined();
      expect(await registry.getSnapshot('S1')).toBeUndefined();
      expect(await registry.listSnapshots()).toEqual([]);
    });

    it('are not recorded for an application that has moved on or is gone', async () => {
      const registry = await opened();
      const { aid, epoch } = await registry.registerApplication(registrationOf('web'));
      await registry.transition(aid, { states: ['registered'] }, 'running');
      expect(await registry.commitSleep(aid, epoch, snapshotOf(aid, 'S1'))).toBeUndefined();
      expect(await registry.commitSleep('gone', 1, snapshotOf('gone', 'S1'))).toBeUndefined();
      await expect(registry.addSnapshot(snapshotOf('gone', 'S1'))).rejects.toThrow(
        failsWith('APP_NOT_FOUND'),
      );
      expect(await registry.getSnapshot('S1')).toBeUndefined();
      expect(await registry.find(aid)).toMatchObject({ state: 'running', snapshot: null });
    });

    it('of which one cannot be recorded leave the application as it was', async () => {
      const registry = await opened();
      const { aid, epoch } = await registry.registerApplication(registrationOf('web', { state: 'running' }));
      await registry.addSnapshot(snapshotOf(aid, 'S1'));
      await expect(registry.commitSleep(aid, epoch, snapshotOf(aid, 'S1'))).rejects.toThrow(/constraint/);
      expect(await registry.find(aid)).toMatchObject({ state: 'running', epoch, snapshot: null });
    });
  });

  describe('templates', () => {
    const templateOf = (id: string, name: string): TemplateRecord => ({
      id,
      name,
      createdAt: '2026-01-02T03:04:05.678Z',
      snapshot: `S-${id}`,
      instances: 0,
      data: { made: 'here' },
    });
    const add = async (registry: Registry, id: string, name: string): Promise<TemplateRecord> => {
      const template = templateOf(id, name);
      await registry.addTemplate(template, { ...snapshotOf(id, template.snapshot), kind: 'template' });
      return template;
    };

    it('are found by name and ID, and own a snapshot', async () => {
      const registry = await opened();
      const [one, other] = [await add(registry, 'T1', 'warm'), await add(registry, 'T2', 'cold')];
      expect(await registry.findTemplate('warm')).toEqual(one);
      expect(await registry.findTemplate('T2')).toEqual(other);
      expect(await registry.findTemplate('none')).toBeUndefined();
      expect(await registry.listTemplates()).toEqual([one, other]);
      expect(await registry.getSnapshot('S-T1')).toMatchObject({ aid: 'T1', kind: 'template' });
    });

    it('do not share a name, and a refused one leaves no snapshot', async () => {
      const registry = await opened();
      const one = await add(registry, 'T1', 'warm');
      await expect(add(registry, 'T2', 'warm')).rejects.toThrow(failsWith('TEMPLATE_TAKEN'));
      expect(await registry.listTemplates()).toEqual([one]);
      expect(await registry.getSnapshot('S-T2')).toBeUndefined();
    });

    it('number their clones, and give no number twice', async () => {
      const registry = await opened();
      await add(registry, 'T1', 'warm');
      const firsts = await Promise.all([3, 1, 5].map((count) => registry.countInstances('T1', count)));
      expect(firsts).toEqual([1, 4, 5]);
      expect(await registry.findTemplate('T1')).toMatchObject({ instances: 9 });
      await expect(registry.countInstances('T2', 1)).rejects.toThrow(failsWith('TEMPLATE_NOT_FOUND'));
    });

    it('go with their snapshot', async () => {
      const registry = await opened();
      await add(registry, 'T1', 'warm');
      expect(await registry.removeTemplate('T1')).toBe(true);
      expect(await registry.removeTemplate('T1')).toBe(false);
      expect(await registry.findTemplate('warm')).toBeUndefined();
      expect(await registry.listSnapshots()).toEqual([]);
    });
  });

  describe('several registrations', () => {
    it('have an AID and an address each', async () => {
      const registry = await opened();
      const names = ['web-1', 'web-2', 'web-3'];
      const records = await registry.registerApplications(names.map((name) => registrationOf(name)));
      expect(records.map(({ name }) => name)).toEqual(names);
      expect(records.map(({ address }) => address)).toEqual(['10.10.0.2', '10.10.0.3', '10.10.0.4']);
      expect(new Set(records.map(({ aid }) => aid)).size).toBe(3);
      expect(await registry.list()).toEqual(records);
    });

    it('are all there or none', async () => {
      const registry = await opened();
      const web = await registry.registerApplication(registrationOf('web-2'));
      await expect(
        registry.registerApplications(['web-1', 'web-2'].map((name) => registrationOf(name))),
      ).rejects.toThrow(failsWith('NAME_TAKEN'));
      expect(await registry.list()).toEqual([web]);
      expect(await registry.registerApplication(registrationOf('web-1'))).toMatchObject({
        address: '10.10.0.3',
      });
    });
  });

  describe('addresses', () => {
    it('are not used again at once', async () => {
      const registry = await opened();
      const allocate = (aid: string, requested?: string) =>
        registry.allocateAddress({ aid, network: '10.9.0.0/29', reserved: ['10.9.0.3'], requested });
      expect(await allocate('A')).toBe('10.9.0.2');
      expect(await allocate('A')).toBe('10.9.0.2');
      await registry.releaseAddress('A');
      expect(await allocate('B')).toBe('10.9.0.4');
      expect(await allocate('C', '10.9.0.6')).toBe('10.9.0.6');
      expect(await allocate('D')).toBe('10.9.0.5');
      expect(await allocate('E')).toBe('10.9.0.2');
      await expect(allocate('F')).rejects.toThrow(failsWith('ADDRESSES_EXHAUSTED'));
      await registry.releaseAddress('D');
      expect(await allocate('F')).toBe('10.9.0.5');
    });

    it.each([
      ['10.9.1.0', 'ADDRESS_OUTSIDE'],
      ['10.9.0.0', 'ADDRESS_IN_USE'],
      ['10.9.0.1', 'ADDRESS_IN_USE'],
      ['10.9.0.7', 'ADDRESS_IN_USE'],
      ['10.9.0.3', 'ADDRESS_IN_USE'],
      ['10.9.0', 'BAD_REQUEST'],
    ])('refuse %s with %s', async (requested, code) => {
      const registry = await opened();
      const request = { aid: 'A', network: '10.9.0.0/29', reserved: ['10.9.0.3'], requested };
      await expect(registry.allocateAddress(request)).rejects.toThrow(failsWith(code));
    });

    it('name who has one, and refuse a second for one AID and a bad network', async () => {
      const registry = await opened();
      const { aid, address } = await registry.registerApplication(registrationOf('web'));
      const taken = registry.allocateAddress({ aid: 'B', network: NETWORK, requested: address });
      await expect(taken).rejects.toThrow('the application web');
      const second = registry.allocateAddress({ aid, network: NETWORK, requested: '10.10.0.99' });
      await expect(second).rejects.toThrow(failsWith('AID_TAKEN'));
      const nowhere = registry.allocateAddress({ aid: 'B', network: '10.10.0.1/16' });
      await expect(nowhere).rejects.toThrow(failsWith('BAD_NETWORK'));
    });

    it("stay an application's own while it is registered", async () => {
      const registry = await opened();
      const { aid, address } = await registry.registerApplication(registrationOf('web'));
      await registry.releaseAddress(aid);
      const taken = registry.allocateAddress({ aid: 'B', network: NETWORK, requested: address });
      await expect(taken).rejects.toThrow(failsWith('ADDRESS_IN_USE'));
    });
  });

  it('keeps environments', async () => {
    const registry = await opened();
    const first = await registry.addEnvironment({ id: 'E2', pid: 100, startTime: 12345 });
    const second = await registry.addEnvironment({ id: 'E1', pid: 200, startTime: 12346 });
    expect(first).toMatchObject({ id: 'E2', pid: 100, startTime: 12345 });
    expect(await registry.listEnvironments()).toEqual([first, second]);
    expect(await registry.removeEnvironment('E2')).toBe(true);
    expect(await registry.removeEnvironment('E2')).toBe(false);
    expect(await registry.listEnvironments()).toEqual([second]);
  });
};
