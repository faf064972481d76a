/**
 * Steps that put an application to sleep. Until `commit` has changed the registry every one of them can be taken back, and the
 * application goes on; at every instant either its processes or a complete snapshot exist.
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { Blocker } from '../../api/index.ts';
import { AppShotError } from '../../common/index.ts';
import { networkUse } from '../../resources/index.ts';
import type { NetworkUse } from '../../resources/index.ts';
import type { Reachable } from '../../snapshots/index.ts';
import { environmentOf, turnBack } from '../context.ts';
import type { Work } from '../context.ts';
import { captureFiles } from '../files.ts';
import { takeFingerprint } from '../fingerprint.ts';
import { findBlockers } from '../check.ts';
import { provision, requireHeld } from '../provision.ts';
import { noteTouched } from '../touched.ts';
import type { Executor } from './executor.ts';

/** How long a connection that is being made or waits to be accepted, or data that is not acknowledged, may delay a sleep; and how often to look. In ms. */
const SETTLE = { patience: 1000, interval: 5 } as const;

/** A kernel acknowledges within this time what it need not answer (`TCP_ATO_MIN`, 40 ms). */
const LATE_ACK = 50;

/** A busy program accepts connections a moment after they are made: only what stays keeps it from being saved. */
const lastingBlockers = async (work: Work): Promise<readonly Blocker[]> => {
  const end = performance.now() + SETTLE.patience;
  for (;;) {
    const blockers = findBlockers(work.house, work.record, environmentOf(work));
    const passing = blockers.length > 0 && blockers.every(({ kind }) => kind === 'in-flight');
    if (!passing || performance.now() > end) return blockers;
    await delay(SETTLE.interval);
  }
};

/** Names what blocks a snapshot before anything is touched (mission E6). */
export const check: Executor = {
  run: async (work) => {
    const environment = environmentOf(work);
    // Memory that has not come back yet cannot be saved.
    await environment.filled;
    const blockers = await lastingBlockers(work);
    if (blockers.length === 0) {
      work.fingerprint = await takeFingerprint(work, environment);
      noteTouched(work.house, work.record.aid, work.house.processesIn(environment.id));
      return;
    }
    const reasons = blockers.map(({ what }) => what).join('; ');
    throw new AppShotError('BLOCKED', { name: work.record.name, reasons }, { details: { blockers } });
  },
};

/** What the sleeping application can be reached by, from its sockets, and what is under way there. */
const lookAtNetwork = (
  work: Work,
): { reachable: Reachable } & Pick<NetworkUse, 'inFlight' | 'unsent' | 'halfClosed'> => {
  const { listening, connections, ...rest } = networkUse(environmentOf(work).diagnosis);
  return { reachable: { listening: [...listening], connections: [...connections] }, ...rest };
};

/**
 * Waits for handshakes and acknowledgements under way: a half-made connection would be lost, and a late acknowledgement would
 * be taken for a request. A peer that never answers does not keep it awake. Then only what means something can reach it.
 */
export const settle: Executor = {
  run: async (work) => {
    // The gateway's requests go elsewhere where they can, and its idle connections are closed while that wakes nobody.
    if (work.record.spec.sites) await work.house.roster.told();
    const begun = performance.now();
    let now = lookAtNetwork(work);
    const isUnderWay = (): boolean => {
      const waited = performance.now() - begun;
      if (now.inFlight + now.unsent > 0) return waited < SETTLE.patience;
      return now.halfClosed > 0 && waited < LATE_ACK;
    };
    while (isUnderWay()) {
      await delay(SETTLE.interval);
      now = lookAtNetwork(work);
    }
    work.reachable = now.reachable;
    work.house.networks.close(work.record.address, now.reachable);
  },
  undo: async (work) => {
    work.house.networks.connect(work.record.address, environmentOf(work));
  },
};

/** Off the bridge: nothing is acknowledged from here on. What arrived at the last moment is looked at once more. */
export const disconnect: Executor = {
  run: async (work) => {
    const { networks } = work.house;
    networks.disconnect(work.record.address, environmentOf(work));
    const { reachable, inFlight } = lookAtNetwork(work);
    work.reachable = reachable;
    networks.close(work.record.address, reachable);
    work.wanted ||= inFlight > 0;
    turnBack(work);
  },
};

/** Makes the snapshot the application's state: from here on it is asleep, whatever happens to the processes. */
export const commit: Executor = {
  run: async (work) => {
    const { house, record, held, reachable } = work;
    if (!held || !reachable) throw new Error('nothing was saved');
    const snapshot = provision(work, 'sleep');
    turnBack(work);
    await requireHeld(work);
    const committed = await house.registry.commitSleep(record.aid, record.epoch, snapshot, {
      snapshot: snapshot.id,
      failure: null,
      data: { reachable },
    });
    if (!committed) throw new Error('the application changed hands');
    work.committed = true;
    work.frozenMs = performance.now() - held.frozenAt;
    work.taken = snapshot;
    work.record = committed;
  },
};

/** Ends every process and returns the environment. */
export const end: Executor = {
  run: async (work) => {
    const { house, record } = work;
    if (work.environment) await house.pool.discard(work.environment);
    delete work.environment;
    // The engine that held the processes has ended with them; until it is gone it keeps the application's root in use.
    await work.release?.();
    work.record = await house.registry.update(record.aid, { environment: null });
  },
};

/** Keeps the files as they were at that instant: nobody changes them until the application wakes. */
export const keep: Executor = {
  run: async ({ house, record, taken }) => {
    if (!taken) throw new Error('nothing was committed');
    try {
      await house.keeper.capturing(async () => {
        await house.registry.updateSnapshot(taken.id, { tree: await captureFiles(house, record) });
      });
    } catch (err) {
      house.log.error({ err, aid: record.aid }, 'its files could not be kept: the snapshot has memory alone');
    }
    house.keeper.settle(taken.id);
  },
};
