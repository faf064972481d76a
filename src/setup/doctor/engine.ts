/** The engine that set-up recorded: is it there, does it work on the kernel that runs now. */
import { release, tmpdir } from 'node:os';
import { loadEngine } from '../../criu/index.ts';
import type { Engine } from '../../criu/index.ts';
import { trial } from '../trial.ts';
import { check, degraded, missing, ok } from './finding.ts';
import type { Check, Verdict } from './finding.ts';

const ADVICE = 'run `appshot setup`';

export const judgeRecord = ({ engine, kernel }: { engine: Engine; kernel: string }): Verdict => {
  const found = `CRIU ${engine.version} (${engine.source === 'private' ? 'private copy' : "the distribution's"})`;
  return engine.testedOn.kernel === kernel
    ? ok(`${found}, tried on this kernel`)
    : degraded(
        `${found}, tried on kernel ${engine.testedOn.kernel}`,
        'the kernel is another one since set-up',
      );
};

export const judgeTrial = ({ engine, version }: { engine: Engine; version: string }): Verdict =>
  version === engine.version
    ? ok(`CRIU ${version} saved a process and brought it back`)
    : missing(
        `CRIU is ${version} now, the record says ${engine.version}`,
        "it was upgraded since set-up: the schemas on record are another version's",
      );

export const engineChecks: readonly Check[] = [
  check({
    name: 'engine',
    meaning: 'CRIU saves and restores the processes',
    advice: ADVICE,
    gather: ({ engineDir }) => ({ engine: loadEngine(engineDir), kernel: release() }),
    judge: judgeRecord,
  }),
  check({
    name: 'engine trial',
    meaning: 'a process must really be saved and come back',
    advice: ADVICE,
    needsRoot: true,
    gather: async ({ engineDir }) => {
      const engine = loadEngine(engineDir);
      return { engine, version: await trial(engine.command, tmpdir()) };
    },
    judge: judgeTrial,
  }),
];
