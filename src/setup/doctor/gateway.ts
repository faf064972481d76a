/** The web gateway's program. */
import { run } from '../../exec/index.ts';
import { HAPROXY } from '../../gateway/index.ts';
import { check, degraded, ok } from './finding.ts';
import type { Check, Verdict } from './finding.ts';

const OLDEST = [2, 6] as const;

/** `printed` is what `haproxy -v` prints; undefined when there is no such program. */
export const judgeGateway = (printed: string | undefined): Verdict => {
  if (printed === undefined) return degraded(`there is no ${HAPROXY}`);
  const [, version = '', major, minor] = /version ((\d+)\.(\d+)[^\s]*)/.exec(printed) ?? [];
  const isNew = Number(major) > OLDEST[0] || (Number(major) === OLDEST[0] && Number(minor) >= OLDEST[1]);
  return isNew ? ok(`HAProxy ${version}`) : degraded(`HAProxy ${version}, older than ${OLDEST.join('.')}`);
};

export const gatewayChecks: readonly Check[] = [
  check({
    name: 'web gateway',
    meaning: 'the daemon serves sites with it (`--http`, `--https`); without it everything else works',
    advice: 'install haproxy 2.6 or later, or run `appshot setup`',
    gather: () =>
      run(HAPROXY, ['-v']).then(
        ({ stdout }) => stdout,
        () => undefined,
      ),
    judge: judgeGateway,
  }),
];
