/** How busy services are, as whatever stands before them measures it. */
export interface SiteLoad {
  /** Requests in the last second. */
  readonly rate: number;
  /** Requests that wait because every instance has as many as it may. */
  readonly queue: number;
  /** Of the last seconds, the mean in ms; null without requests. */
  readonly responseMs: number | null;
  /** Requests under way, by the AID of the instance. */
  readonly open: ReadonlyMap<string, number>;
}

/** By the name of the service. */
export type Loads = ReadonlyMap<string, SiteLoad>;
