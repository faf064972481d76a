/**
 * Which snapshots may go, purely. Three rules, in this order: of those that sleeping made, only the newest few of each application
 * stay; unpinned ones go when they're old; then the oldest unpinned go until what is left fits the quota. The snapshot that an
 * application would wake from and pinned ones never go, whatever the quota.
 */
export interface RetainedSnapshot {
  readonly id: string;
  readonly aid: string;
  /** Milliseconds since 1970. */
  readonly takenAt: number;
  /** What removing it would free, about, in bytes. */
  readonly bytes: number;
  readonly pinned: boolean;
  /** Whether the application would wake from it. */
  readonly latest: boolean;
  /** Whether a sleep made it, rather than a user's command. */
  readonly automatic: boolean;
}

export interface RetentionPolicy {
  /** How many automatic snapshots of each application stay; those that stay anyway count. Without it, all. */
  readonly keep?: number | undefined;
  /** Age in milliseconds beyond which an unpinned one goes. */
  readonly ttlMs?: number | undefined;
  /** Bytes that all snapshots together may take. */
  readonly quotaBytes?: number | undefined;
  /** Milliseconds since 1970. */
  readonly now: number;
}

/** Newest first; IDs decide between snapshots of one millisecond, so that the order is always the same. */
const newestFirst = (a: RetainedSnapshot, b: RetainedSnapshot): number =>
  b.takenAt - a.takenAt || (a.id < b.id ? 1 : -1);

/** Those beyond the newest `keep` automatic ones of their application. */
const surplus = (newest: readonly RetainedSnapshot[], keep: number): RetainedSnapshot[] => {
  const automatic = newest.filter((snapshot) => snapshot.automatic);
  return [...Map.groupBy(automatic, ({ aid }) => aid).values()].flatMap((own) => own.slice(keep));
};

/** The oldest of those that may go, until the rest fits. */
const overQuota = (
  newest: readonly RetainedSnapshot[],
  mayGo: (snapshot: RetainedSnapshot) => boolean,
  quota: number,
): RetainedSnapshot[] => {
  let used = newest.reduce((sum, { bytes }) => sum + bytes, 0);
  return newest.toReversed().filter((snapshot) => {
    // One that frees nothing would be lost for nothing.
    if (used <= quota || snapshot.bytes === 0 || !mayGo(snapshot)) return false;
    used -= snapshot.bytes;
    return true;
  });
};

/** The IDs of those that go, oldest first. Choosing again among those that stay chooses none. */
export const chooseVictims = (
  snapshots: readonly RetainedSnapshot[],
  { keep = Infinity, ttlMs = Infinity, quotaBytes = Infinity, now }: RetentionPolicy,
): string[] => {
  const newest = snapshots.toSorted(newestFirst);
  const mayGo = (snapshot: RetainedSnapshot): boolean => !snapshot.pinned && !snapshot.latest;
  const old = newest.filter(({ takenAt }) => now - takenAt > ttlMs);
  const victims = new Set([...surplus(newest, keep), ...old].filter(mayGo));
  const left = newest.filter((snapshot) => !victims.has(snapshot));
  for (const snapshot of overQuota(left, mayGo, quotaBytes)) victims.add(snapshot);
  return [...victims].toSorted((a, b) => newestFirst(b, a)).map(({ id }) => id);
};
