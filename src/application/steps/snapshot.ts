/** Steps of a snapshot after which the application goes on: memory and files are kept while the processes are frozen. */
import { environmentOf } from '../context.ts';
import { captureFiles, mappedShared } from '../files.ts';
import { provision, requireHeld } from '../provision.ts';
import type { Executor } from './executor.ts';
import { resume as letGo } from './save.ts';

/** Keeps the files too, and tells the registry of the snapshot. */
export const record: Executor = {
  run: async (work) => {
    const { house, record: application } = work;
    const pids = house.processesIn(environmentOf(work).id);
    await house.keeper.capturing(async () => {
      const tree = await captureFiles(house, application, mappedShared(application, pids));
      const taken = { ...provision(work, 'snapshot'), tree };
      await requireHeld(work);
      await house.registry.addSnapshot(taken);
      work.taken = taken;
    });
    work.record = await house.registry.update(application.aid, { snapshot: work.taken?.id ?? null });
  },
  undo: async (work) => {
    if (!work.taken) return;
    await work.house.registry.update(work.record.aid, { snapshot: work.taken.parent });
    await work.house.registry.removeSnapshot(work.taken.id);
    delete work.taken;
  },
};

/** The processes go on, and can be reached again. */
export const resume: Executor = {
  run: async (work) => {
    const { house, record: application, held, taken } = work;
    await letGo(work);
    work.frozenMs = performance.now() - (held?.frozenAt ?? 0);
    house.networks.connect(application.address, environmentOf(work));
    if (taken) house.keeper.settle(taken.id);
  },
};
