/**
 * What applications do: packets that count, processor time and memory of those in memory. Looking at a hundred of them takes milliseconds, so
 * samples are taken at intervals, which grow when looking gets dear.
 */
import type { Applications, House } from '../application/index.ts';
import type { Logger } from '../common/index.ts';
import type { Environment } from '../environments/index.ts';
import { networkUse } from '../resources/index.ts';
import type { Arrivals } from './arrivals.ts';
import { observe } from './idle.ts';
import type { Observation } from './idle.ts';
import type { Member } from './member.ts';

/** What is known of an environment's processes. */
export interface Gauges {
  /** Microseconds of processor time so far. */
  readonly cpu: (environment: string) => number;
  /** Bytes that its sleep would free. */
  readonly held: (environment: string) => number;
  /** Packets that counted. */
  readonly arrivals: Arrivals;
}

export interface SensorsOptions {
  readonly applications: Pick<Applications, 'environment'>;
  readonly gauges: Gauges;
  readonly house: Pick<House, 'roster' | 'log'>;
}

export class Sensors {
  readonly #applications: Pick<Applications, 'environment'>;
  readonly #gauges: Gauges;
  readonly #isDrained: (aid: string) => boolean;
  readonly #log: Logger;

  constructor({ applications, gauges, house }: SensorsOptions) {
    this.#applications = applications;
    this.#gauges = gauges;
    this.#isDrained = (aid) => house.roster.isDrained(aid);
    this.#log = house.log;
  }

  /** Looks at one; what is not in memory has nothing to see. */
  sample(member: Member): Observation | undefined {
    const environment = this.#applications.environment(member.aid);
    if (!environment || (member.state !== 'running' && member.state !== 'frozen')) return undefined;
    try {
      // Nothing moves in one that is frozen; a packet thaws it.
      if (member.state === 'running') this.#observe(member, environment);
      member.weigh(this.#gauges.held(environment.id), performance.now());
      member.connections = this.#isDrained(member.aid) ? connectionsOf(environment) : 0;
    } catch (err) {
      this.#log.debug({ err, aid: member.aid }, 'a sample failed: the application is on its way out');
    }
    return member.observation;
  }

  #observe(member: Member, { id, pid }: { readonly id: string; readonly pid: number }): void {
    const observation = observe(member.observation, {
      at: performance.now(),
      packets: this.#gauges.arrivals.of(member.record, pid),
      cpuMicroseconds: this.#gauges.cpu(id),
    });
    member.observation = observation;
    member.cpu = observation.cpu ?? 0;
    member.activeAt = observation.activeAt;
    member.askedAt = observation.askedAt;
  }
}

/** Those that others have made. */
const connectionsOf = ({ diagnosis }: Environment): number => {
  const { listening, connections } = networkUse(diagnosis);
  const ports = new Set(listening.filter(({ protocol }) => protocol === 'tcp').map(({ port }) => port));
  return connections.filter(({ localPort }) => ports.has(localPort)).length;
};
