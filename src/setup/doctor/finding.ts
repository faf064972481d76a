/**
 * The form of what doctor finds, and of the checks that find it.
 *
 * A check has two halves: `gather` asks the machine and may fail in any way, `judge` is pure and says what the answer means. A
 * gathering that fails is itself a finding: the machine refused what AppShot would do.
 */
export type Status = 'ok' | 'degraded' | 'missing';

export interface Finding {
  /** What was looked at, such as `user namespaces`. */
  readonly name: string;
  /** `degraded`: AppShot works, with something less or slower. `missing`: what `meaning` says does not work. */
  readonly status: Status;
  /** What was found, and by what. */
  readonly found: string;
  readonly meaning: string;
  /** What to do; empty when all is well. */
  readonly advice: string;
}

/** A judgement; where `meaning` or `advice` is left out, the check's own is used. */
export interface Verdict {
  readonly status: Status;
  readonly found: string;
  readonly meaning?: string;
  readonly advice?: string;
}

/** What the checks are told about this installation. Both directories are absolute and need not exist. */
export interface Subject {
  readonly engineDir: string;
  readonly dataDir: string;
}

export interface CheckParts<Fact> {
  readonly name: string;
  /** What it is needed for. */
  readonly meaning: string;
  /** What to do when it is missing. */
  readonly advice: string;
  /** Whether only root can find out. */
  readonly needsRoot?: boolean;
  readonly gather: (subject: Subject) => Fact | Promise<Fact>;
  readonly judge: (fact: Fact) => Verdict;
}

export type Check = (subject: Subject, isRoot: boolean) => Promise<Finding>;

export const ok = (found: string): Verdict => ({ status: 'ok', found });
export const degraded = (found: string, meaning?: string, advice?: string): Verdict => ({
  status: 'degraded',
  found,
  ...(meaning === undefined ? {} : { meaning }),
  ...(advice === undefined ? {} : { advice }),
});
export const missing = (found: string, meaning?: string, advice?: string): Verdict => ({
  ...degraded(found, meaning, advice),
  status: 'missing',
});

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

/** Joins both halves into a check, which never rejects. */
export const check = <Fact>(parts: CheckParts<Fact>): Check => {
  const examine = async (subject: Subject, isRoot: boolean): Promise<Verdict> => {
    if (parts.needsRoot === true && !isRoot) {
      return degraded('not looked at: only root can', parts.meaning, 'run `sudo appshot doctor`');
    }
    try {
      return parts.judge(await parts.gather(subject));
    } catch (error) {
      return missing(messageOf(error));
    }
  };
  return async (subject, isRoot) => {
    const verdict = await examine(subject, isRoot);
    return {
      name: parts.name,
      status: verdict.status,
      found: verdict.found,
      meaning: verdict.meaning ?? parts.meaning,
      advice: verdict.status === 'ok' ? '' : (verdict.advice ?? parts.advice),
    };
  };
};
