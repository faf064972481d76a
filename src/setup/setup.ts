/**
 * Set-up: makes this machine ready for AppShot, as root, and changes nothing when it is.
 *
 * Packages, then a CRIU that works with the running kernel, its schemas, the environments' init; `engine.json`, which names
 * them all, is written last, and the stamp after it. Whatever is interrupted leaves only whole things and temporary ones,
 * so the next run goes on from there.
 */
import { existsSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { machine, release } from 'node:os';
import { join } from 'node:path';
import { AppShotError, writeAtomically } from '../common/index.ts';
import { engineFile, loadEngine } from '../criu/index.ts';
import type { Engine } from '../criu/index.ts';
import { SUITES, distributionCandidate, fetchCopy, presentCopies } from './candidates.ts';
import type { Candidate } from './candidates.ts';
import { readSchemas } from './descriptors.ts';
import { setupFailure } from './failure.ts';
import { sweep } from './files.ts';
import { compileInit } from './init-program.ts';
import { withLock } from './lock.ts';
import { installMissing, neededPackages } from './packages.ts';
import { covers, currentStamp, readStamp, writeStamp } from './stamp.ts';
import type { Report } from './steps.ts';
import { trial } from './trial.ts';

export interface SetupOptions {
  /** Where CRIU, its schemas, the init and the record of them live. */
  readonly engineDir: string;
  /** Also install the programs that the demo, the tests and the benchmarks use. */
  readonly testing?: boolean;
}

interface Chosen {
  readonly candidate: Candidate;
  readonly version: string;
  /** Path of the file with its schemas. */
  readonly descriptors: string;
}

/** The recorded engine, if everything it names is still there. */
const recorded = (directory: string): Engine | undefined => {
  try {
    return loadEngine(directory);
  } catch {
    return undefined;
  }
};

const nothingToDo = async (directory: string, packages: readonly string[]): Promise<boolean> =>
  covers(await readStamp(directory), await currentStamp(packages)) && recorded(directory) !== undefined;

/** Runs one step; whatever goes wrong in it is reported with its name. */
const inStep = async <T>(directory: string, step: string, work: () => Promise<T>): Promise<T> => {
  try {
    return await work();
  } catch (error) {
    throw setupFailure(step, error, directory);
  }
};

/** Candidates, best first. Each is looked for only when those before it have failed: the last ones are downloads. */
const candidates = async function* (directory: string, report: Report): AsyncGenerator<Candidate> {
  const own = await distributionCandidate(directory);
  if (own !== undefined) yield own;
  yield* await presentCopies(directory);
  for (const suite of SUITES) {
    report({ name: 'criu', state: 'begun', detail: `downloading from ${suite}` });
    yield await inStep(directory, `downloading CRIU from ${suite}`, () => fetchCopy(directory, suite));
  }
};

const makeSchemas = async (directory: string, candidate: Candidate, version: string): Promise<string> => {
  const path = join(directory, `descriptors-${version}.binpb`);
  if (existsSync(path)) return path;
  await writeAtomically(path, await readSchemas(await candidate.schemas()), 0o644);
  return path;
};

const tryCandidate = async (directory: string, candidate: Candidate): Promise<Chosen> => {
  const version = await trial(candidate.command, directory);
  return { candidate, version, descriptors: await makeSchemas(directory, candidate, version) };
};

/** The first candidate that passes the trial and whose schemas are to be had. Throws an Error with each one's reason when none does. */
const chooseCriu = async (directory: string, report: Report): Promise<Chosen> => {
  const tried = new Map<string, string>();
  for await (const candidate of candidates(directory, report)) {
    const place = candidate.command.join(' ');
    if (tried.has(place)) continue;
    try {
      report({ name: 'criu', state: 'begun', detail: `trying ${candidate.label}` });
      return await tryCandidate(directory, candidate);
    } catch (error) {
      const reason = `${candidate.label}: ${error instanceof Error ? error.message : String(error)}`;
      report({ name: 'criu', state: 'failed', detail: reason });
      tried.set(place, reason);
    }
  }
  throw new Error(`no CRIU works on kernel ${release()}: ${[...tried.values()].join('; ')}`);
};

/** Whether the engine on record may be kept without a trial. The distribution's may have been upgraded by itself. */
const stillGood = ({ source, testedOn }: Engine): boolean =>
  source === 'private' && testedOn.kernel === release() && testedOn.machine === machine();

/** CRIU and its schemas: those on record, or a new choice. */
const makeCriu = async (directory: string, report: Report): Promise<Omit<Engine, 'init'>> => {
  const before = recorded(directory);
  if (before !== undefined && stillGood(before)) {
    report({ name: 'criu', state: 'unchanged', detail: before.version });
    return before;
  }
  const chosen = await chooseCriu(directory, report);
  report({ name: 'criu', state: 'done', detail: `${chosen.version}, ${chosen.candidate.label}` });
  return {
    format: 1,
    version: chosen.version,
    source: chosen.candidate.source,
    command: [...chosen.candidate.command],
    descriptors: chosen.descriptors,
    testedOn: { kernel: release(), machine: machine() },
  };
};

const perform = async (directory: string, packages: readonly string[], report: Report): Promise<void> => {
  const attempt = <T>(step: string, work: () => Promise<T>): Promise<T> => inStep(directory, step, work);
  await attempt('clearing up', () => sweep(directory));
  const installed = await attempt('installing packages', () => installMissing(packages, report));
  report({
    name: 'packages',
    state: installed.length > 0 ? 'done' : 'unchanged',
    detail: `${packages.length}`,
  });
  const criu = await attempt('finding a CRIU', () => makeCriu(directory, report));
  const init = await attempt('compiling the init', () => compileInit(directory));
  const engine: Engine = { ...criu, init };
  await attempt('writing the engine record', async () => {
    await writeAtomically(engineFile(directory), `${JSON.stringify(engine, null, 2)}\n`, 0o644);
    await writeStamp(directory, await currentStamp(packages));
  });
  report({ name: 'engine', state: 'done', detail: engineFile(directory) });
};

/**
 * Brings the machine to the state that AppShot needs. Returns within 2 s when it is in it already. Two set-ups at once run one
 * after the other. Throws `NOT_ROOT`, `SETUP_FAILED` (step and reason), `NO_SPACE`.
 */
export const setup = async ({ engineDir, testing = false }: SetupOptions, report: Report): Promise<void> => {
  if (process.getuid?.() !== 0) throw new AppShotError('NOT_ROOT', { what: 'set-up' });
  const packages = neededPackages(testing);
  try {
    await mkdir(engineDir, { recursive: true, mode: 0o755 });
    const onWait = (): void => report({ name: 'lock', state: 'begun', detail: 'waiting for another set-up' });
    await withLock(engineDir, onWait, async () => {
      if (await nothingToDo(engineDir, packages)) report({ name: 'set-up', state: 'unchanged' });
      else await perform(engineDir, packages, report);
    });
  } catch (error) {
    throw setupFailure('preparing', error, engineDir);
  }
};
