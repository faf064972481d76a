/**
 * Something fails at every step of falling asleep and waking: the daemon is killed, the step fails, the engine is killed. Each
 * time the application afterwards runs or sleeps, complete; the error says which step and why; nothing is left behind; and it
 * sleeps and wakes as before.
 */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, onTestFailed, test } from 'vitest';
import type { AppView } from '../../src/api/index.ts';
import { launch } from '../support/application.ts';
import type { Application } from '../support/application.ts';
import type { DaemonProcess } from '../support/daemon-process.ts';
import { failureOf } from '../support/failure.ts';
import { eventually } from '../support/eventually.ts';
import { createLab } from '../support/lab.ts';
import type { Lab } from '../support/lab.ts';
import { expectNothingLeft, settledInventory } from '../support/nothing-left.ts';
import type { Inventory } from '../support/nothing-left.ts';
import { chain } from '../support/programs/chain.ts';
import { kitchen } from '../support/programs/kitchen.ts';
import type { Idle, Program, Work } from '../support/programs/program.ts';

/** The smallest: a daemon is started anew for each fault. */
const POOL = ['--pool', '1'];

type Verb = 'sleep' | 'wake';
type Action = 'kill' | 'fail' | 'engine';

interface Fault {
  readonly verb: Verb;
  readonly step: string;
  readonly when: string;
  readonly action: Action;
  /** All of it, as the daemon is told. */
  readonly point: string;
  /** The state afterwards. */
  readonly after: AppView['state'];
}

const SLEEP = ['check', 'settle', 'disconnect', 'save', 'commit', 'end', 'keep'];
const WAKE = ['verify', 'environment', 'root', 'identity', 'restore', 'connect'];
/** Moments of a dump: before anything is frozen, frozen, and saved while the engine still holds the processes. */
const STAGES = ['pre-dump', 'query-ext-files', 'post-dump'];

/** A sleep is done once the registry says so, which `commit` does; what follows it only ends what is left over. */
const isCommitted = (step: string, when: string): boolean =>
  step === 'end' || step === 'keep' || (step === 'commit' && when === 'after');

/** A killed daemon's wake is finished by the next one once the engine was asked to restore. */
const isRestored = (step: string, when: string): boolean =>
  step === 'connect' || (step === 'restore' && when !== 'before');

const stateAfter = ({ verb, step, when, action }: Omit<Fault, 'after' | 'point'>): AppView['state'] => {
  if (verb === 'sleep') return isCommitted(step, when) ? 'asleep' : 'running';
  return action === 'kill' && isRestored(step, when) ? 'running' : 'asleep';
};

const faults = (verb: Verb, steps: readonly string[], whens: readonly string[], actions: readonly Action[]) =>
  steps.flatMap((step) =>
    whens.flatMap((when) =>
      actions.map((action): Fault => {
        const fault = { verb, step, when, action };
        return { ...fault, point: `${verb}.${step}.${when}=${action}`, after: stateAfter(fault) };
      }),
    ),
  );

const EVERYWHERE = [
  ...faults('sleep', SLEEP, ['before', 'after'], ['kill', 'fail']),
  ...faults('sleep', ['save'], STAGES, ['kill', 'fail']),
  ...faults('wake', WAKE, ['before', 'after'], ['kill', 'fail']),
  ...faults('wake', ['restore'], ['during'], ['kill', 'fail']),
];

/** Where an engine holds the processes, some of them half saved. */
const ENGINE_SAVES = [
  ...faults('sleep', ['save'], [...STAGES, 'after'], ['engine']),
  ...faults('sleep', ['commit'], ['before'], ['engine']),
];

/** Where one waits, or restores. */
const ENGINE_RESTORES = [
  ...faults('wake', ['environment', 'root', 'identity'], ['after'], ['engine']),
  ...faults('wake', ['restore'], ['before', 'during'], ['engine']),
];

let lab: Lab;
let daemon: DaemonProcess;
let baseline: Inventory;
let app: Application;
let work: Work;
let idle: Idle;

const begin = async (program: Program): Promise<void> => {
  lab = await createLab();
  daemon = await lab.daemon({ args: POOL });
  baseline = await settledInventory(lab);
  app = await launch(lab, program.name, program.launch);
  const at = { lab, address: app.address };
  await program.ready(at);
  work = await program.begin(at);
  idle = await program.openIdle(at);
};

const finish = async (): Promise<void> => {
  await work.close();
  await idle.close();
  await app.remove();
  await expectNothingLeft(lab, baseline);
  expect(snapshots()).toEqual([]);
  await lab[Symbol.asyncDispose]();
};

const snapshots = (): string[] => readdirSync(join(lab.dataDirectory, 'snapshots'));

const restart = async ({ point }: Fault): Promise<void> => {
  await daemon.stop();
  daemon = await lab.daemon({ args: POOL, environment: { APPSHOT_FAULT: point } });
};

/** The verb fails as it should, or the daemon is killed and followed by another. */
const provoke = async ({ verb, step, when, action, after }: Fault): Promise<void> => {
  const result = await lab.appshot(verb, '--json', app.aid);
  if (action === 'kill') {
    expect(failureOf(result).code).toBe('DAEMON_LOST');
    expect(await daemon.exited).toMatchObject({ signal: 'SIGKILL' });
    daemon = await lab.daemon({ args: POOL });
  } else if (verb === 'sleep' && after === 'asleep') {
    expect(result).toMatchObject({ code: 0 });
  } else {
    const error = failureOf(result);
    expect(error.code).toBe(verb === 'sleep' ? 'SLEEP_FAILED' : 'WAKE_FAILED');
    expect(error.details).toMatchObject({ name: app.name });
    expect(error.message).toContain(action === 'fail' ? `${verb}.${step}.${when}` : 'CRIU failed');
    if (action === 'fail') expect(error.details).toMatchObject({ step });
    expect((await app.inspect()).failure).toMatchObject({ code: error.code });
  }
  expect(await app.state()).toBe(after);
};

const expectWhole = async (after: Fault['after']): Promise<void> => {
  // A command wakes at once; packets are ignored for a moment after a wake that failed.
  if (after === 'asleep') await app.wake();
  await idle.check();
  await work.goOn();
  await app.sleep();
  const kept = await app.kept();
  await expectNothingLeft(lab, baseline);
  // One whose time has come goes a moment after its row.
  await eventually(() => expect(snapshots()).toEqual(kept.map(({ snapshot }) => snapshot)));
  await idle.check();
};

describe.each([
  { program: chain, cases: [...EVERYWHERE, ...ENGINE_SAVES, ...ENGINE_RESTORES] },
  { program: kitchen, cases: ENGINE_SAVES },
])('$program.name', ({ program, cases }) => {
  let broken = false;

  beforeAll(() => begin(program));
  beforeEach(async () => {
    if (!broken) return;
    await lab[Symbol.asyncDispose]();
    await begin(program);
    broken = false;
  });
  afterAll(async () => {
    if (broken) await lab[Symbol.asyncDispose]();
    else await finish();
  });

  test.each(cases)('$point leaves it $after', async (fault) => {
    onTestFailed(() => void (broken = true));
    await restart(fault);
    if (fault.verb === 'wake') await app.sleep();
    await provoke(fault);
    await expectWhole(fault.after);
  });
});
