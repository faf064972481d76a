/**
 * How much each running application was asked by others so far: packets that count. The port guard counts them in the kernel, all in one
 * look; only where datagrams came must the application's own kernel say whether anybody got them.
 */
import { existsSync, readFileSync } from 'node:fs';
import type { Heard } from '../network/index.ts';
import type { ApplicationRecord } from '../registry/index.ts';
import { datagramsIn, packetsFromOutside } from './packets.ts';
import type { Datagrams } from './packets.ts';

/** A look at the guard serves all calls within this time, in milliseconds: those of one round. */
const FRESH_MS = 20;

/** What was known after a call. */
interface Known extends Datagrams {
  readonly address: string;
  readonly pid: number;
  readonly heard: Heard;
  /** Of the call before. */
  readonly older: { readonly datagrams: number; readonly closed: number };
  readonly count: number;
}

const NOTHING: Heard = { answers: 0, datagrams: 0 };

const readNet = (pid: number, name: string): string => readFileSync(`/proc/${pid}/net/${name}`, 'utf8');

/** Where there is no guard: everything that came from outside, whoever sent it and wherever it went. */
const packetsOf = (pid: number): number =>
  packetsFromOutside({
    snmp: readNet(pid, 'snmp'),
    snmp6: existsSync(`/proc/${pid}/net/snmp6`) ? readNet(pid, 'snmp6') : '',
    // Last: what comes meanwhile over loopback is then missing, and not too much.
    dev: readNet(pid, 'dev'),
  });

export class Arrivals {
  readonly #look: (() => ReadonlyMap<string, Heard>) | undefined;
  #looked = { at: -Infinity, heard: new Map<string, Heard>() as ReadonlyMap<string, Heard> };
  readonly #known = new Map<string, Known>();

  /** `look` gives what the guard has counted, by address; undefined where the kernel has no guard. */
  constructor(look: (() => ReadonlyMap<string, Heard>) | undefined) {
    this.#look = look;
  }

  /**
   * How often the application was asked so far. Grows while the same environment runs, whose first process is `pid`, and means something
   * only beside another answer of that environment. Throws when it has ended.
   */
  of({ aid, address }: Pick<ApplicationRecord, 'aid' | 'address'>, pid: number): number {
    if (!this.#look) return packetsOf(pid);
    const heard = this.#heard(this.#look).get(address) ?? NOTHING;
    const before = this.#known.get(aid);
    const known = before?.pid === pid ? after(before, heard) : first(address, pid, heard);
    this.#known.set(aid, known);
    return known.count;
  }

  #heard(look: () => ReadonlyMap<string, Heard>): ReadonlyMap<string, Heard> {
    const at = performance.now();
    if (at - this.#looked.at <= FRESH_MS) return this.#looked.heard;
    const heard = look();
    this.#looked = { at, heard };
    if (this.#known.size > heard.size)
      for (const [aid, { address }] of this.#known) if (!heard.has(address)) this.#known.delete(aid);
    return heard;
  }
}

const first = (address: string, pid: number, heard: Heard): Known => {
  const datagrams = datagramsIn(readNet(pid, 'snmp'));
  const older = { datagrams: heard.datagrams, closed: datagrams.closed };
  return { address, pid, heard, older, ...datagrams, count: 0 };
};

const growth = (now: number, before: number): number => Math.max(0, now - before);

/**
 * A datagram counts when it came from outside, was not refused, and was read. It may be read after the call at which it was heard, so it
 * may have come since the call before that one.
 */
const after = (before: Known, heard: Heard): Known => {
  const { address, pid, older } = before;
  const came = growth(heard.datagrams, older.datagrams);
  const said = came > 0 ? datagramsIn(readNet(pid, 'snmp')) : before;
  const open = growth(came, growth(said.closed, older.closed));
  return {
    address,
    pid,
    heard,
    older: { datagrams: before.heard.datagrams, closed: before.closed },
    closed: said.closed,
    delivered: said.delivered,
    count:
      before.count +
      growth(heard.answers, before.heard.answers) +
      Math.min(open, growth(said.delivered, before.delivered)),
  };
};
