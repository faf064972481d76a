/** Everybody, as the policy sees them: kept up to date from the roster, and grouped into services. */
import type { Roster, SiteLoad } from '../application/index.ts';
import type { Doing } from './member.ts';
import { Member } from './member.ts';
import type { Service } from './policy/index.ts';

/** Milliseconds for which services are taken to be as they were when nobody has changed: what is measured changes slowly. */
const FRESH_MS = 500;

/** How busy services are, by their names. */
export type Loads = ReadonlyMap<string, SiteLoad>;

export class Census {
  readonly members = new Map<string, Member>();
  /** Grouped at `#groupedAt` with `#loads`; with a thousand applications that is not done at every look. */
  #services = new Map<string, Service>();
  #groupedAt = -Infinity;
  #loads: Loads = new Map();
  readonly #roster: Pick<Roster, 'all' | 'get'>;

  constructor(roster: Pick<Roster, 'all' | 'get'>) {
    this.#roster = roster;
  }

  /** Brings all members up to date; `now` is on the policy's clock. */
  refresh(now: number, doing: ReadonlyMap<string, Doing>): void {
    const records = this.#roster.all;
    const wall = Date.now();
    for (const record of records) {
      let member = this.members.get(record.aid);
      if (!member) this.members.set(record.aid, (member = new Member(record, now, wall)));
      else if (!member.update(record, doing.get(record.aid), now)) continue;
      this.#groupedAt = -Infinity;
    }
    if (this.members.size === records.length) return;
    for (const aid of this.members.keys()) if (!this.#roster.get(aid)) this.members.delete(aid);
    this.#groupedAt = -Infinity;
  }

  /** Of clones that were never awake, others of their template tell what they will take. */
  #expect(now: number): void {
    const known = new Map<string, number>();
    const open: Member[] = [];
    for (const member of this.members.values()) {
      const { template } = member;
      if (template === undefined) continue;
      if (!member.isKnown(now)) open.push(member);
      else known.set(template, Math.max(known.get(template) ?? 0, member.expectedBytes));
    }
    for (const member of open) {
      const bytes = known.get(member.template ?? '');
      if (bytes !== undefined) member.expectedBytes = bytes;
    }
  }

  /** What the gateway measured at each instance. */
  hear(loads: Loads): void {
    this.#loads = loads;
    this.#groupedAt = -Infinity;
    for (const member of this.members.values())
      if (member.state === 'running' || member.state === 'frozen')
        member.requests = loads.get(member.service)?.open.get(member.aid) ?? 0;
  }

  /** Those of which there is something to decide: more than one instance, or as many as a policy says. */
  services(now: number): ReadonlyMap<string, Service> {
    if (now - this.#groupedAt < FRESH_MS) return this.#services;
    this.#groupedAt = now;
    this.#expect(now);
    const crews = new Map<string, Member[]>();
    for (const member of this.members.values()) {
      if (member.state === 'other') continue;
      const crew = crews.get(member.service);
      if (crew) crew.push(member);
      else crews.set(member.service, [member]);
    }
    this.#services = new Map();
    for (const [name, crew] of crews) {
      const service = serviceOf(name, crew, this.#loads.get(name));
      if (service) this.#services.set(name, service);
    }
    return this.#services;
  }
}

/** Whoever of them says how many there are speaks for the service: the first of those that somebody started, if any does. */
const serviceOf = (
  name: string,
  crew: readonly Member[],
  load: SiteLoad | undefined,
): Service | undefined => {
  const said = (member: Member) => member.record.spec.policy?.instances;
  const speaker = crew.find((one) => !one.made && said(one)) ?? crew.find(said);
  if (!speaker && crew.length === 1) return undefined;
  const wanted = speaker && said(speaker);
  return {
    name,
    instances: crew.map(({ aid }) => aid),
    min: wanted?.min ?? 0,
    max: wanted?.max ?? crew.length,
    template: wanted?.template ?? null,
    priority: Math.max(...crew.map(({ priority }) => priority)),
    expectedBytes: Math.max(...crew.map(({ expectedBytes }) => expectedBytes)),
    load: load ? { rate: load.rate, queue: load.queue, responseMs: load.responseMs } : null,
  };
};
