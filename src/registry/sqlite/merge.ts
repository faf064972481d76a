/** How a change meets what is stored: a key that is absent stays as it was. */

const withoutUndefined = <T extends object>(value: T): T =>
  Object.fromEntries(Object.entries(value).filter(([, entry]) => entry !== undefined)) as T;

interface WithData {
  readonly data: Readonly<Record<string, unknown>>;
}

/** Keys given as `undefined` are as if left out, except in `data`, where they go. */
export const applyChange = <T extends WithData>(record: T, change: NoInfer<Partial<T>>): T => ({
  ...record,
  ...withoutUndefined(change),
  data: withoutUndefined({ ...record.data, ...change.data }),
});
