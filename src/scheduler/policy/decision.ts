/** What the policy decides, and why: a closed list of codes, each with one line that holds the figures which led to it. */
import { formatDuration, formatSize } from '../../common/index.ts';

/**
 * `admit` lets a waiting wake begin and `hold` says once why it has to wait; `wake` and `clone` are the policy's own wishes. `drain` ends
 * new requests to an instance, `undrain` brings them back, and so does its next wake. `retire` removes it.
 */
export type Kind =
  'freeze' | 'thaw' | 'sleep' | 'wake' | 'clone' | 'drain' | 'undrain' | 'retire' | 'admit' | 'hold';

/** Numbers are milliseconds, bytes, cores or percent, as the line of the code shows them. */
export type Figures = Readonly<Record<string, number | string>>;

export interface Decision {
  readonly kind: Kind;
  /** The application; null for `clone`, which makes one. */
  readonly aid: string | null;
  readonly service: string;
  readonly code: Code;
  readonly because: Figures;
  /** One line for people. */
  readonly reason: string;
}

const time = (value: number | string | undefined): string => formatDuration(Number(value) / 1000);
const size = (value: number | string | undefined): string => formatSize(Math.max(0, Number(value)));
const number = (value: number | string | undefined): string => String(Math.round(Number(value) * 100) / 100);

const LINES = {
  'idle-freeze': (b: Figures) => `idle for ${time(b['idle'])}; it is frozen after ${time(b['limit'])}`,
  idle: (b: Figures) =>
    `idle for ${time(b['idle'])}; it sleeps after ${time(b['limit'])}` +
    (b['patience'] === 1
      ? ''
      : `, ${number(b['patience'])} times its idle time, for it was woken soon before`),
  room: (b: Figures) =>
    `${b['for']} (priority ${b['forPriority']}) needs ${size(b['needs'])} and ${size(b['free'])} are free; this one has priority ` +
    `${b['priority']}, was last active ${time(b['idle'])} ago and frees ${size(b['frees'])}`,
  'memory-short': (b: Figures) =>
    `${size(b['available'])} of memory are available, less than the reserve of ${size(b['reserve'])}; priority ` +
    `${b['priority']}, last active ${time(b['idle'])} ago, frees ${size(b['frees'])}`,
  'memory-ready': (b: Figures) =>
    `room for ${size(b['wanted'])} is kept ready for the next wakes and ${size(b['free'])} are free; idle for ${time(b['idle'])}, ` +
    `frees ${size(b['frees'])}`,
  'memory-pressure': (b: Figures) =>
    `somebody waited for memory ${number(b['some'])} % of the last ten seconds, everybody ${number(b['full'])} %; priority ` +
    `${b['priority']}, last active ${time(b['idle'])} ago, frees ${size(b['frees'])}`,
  'cpu-short': (b: Figures) =>
    `somebody waited for a processor ${number(b['some'])} % of the last ten seconds; this one uses ${number(b['cpu'])} cores ` +
    `without a request, at priority ${b['priority']}, and ${b['for']} (priority ${b['forPriority']}) has requests`,
  'cpu-calm': (b: Figures) =>
    `processors are free again: somebody waited for one ${number(b['some'])} % of the last ten seconds`,
  'cpu-turn': (b: Figures) =>
    `it was frozen for ${time(b['frozen'])} for want of processors, and has its turn`,
  requests: (b: Figures) => `it is frozen and has ${b['open']} open requests`,
  'room-found': (b: Figures) =>
    `it waited ${time(b['waited'])}; needs ${size(b['needs'])} of ${size(b['free'])} free; ${b['waking']} wakes of at most ` +
    `${b['slots']} are under way`,
  'wakes-busy': (b: Figures) =>
    `${b['waking']} wakes are under way, as many as ${b['cores']} cores do well at once`,
  'making-room': (b: Figures) =>
    `it needs ${size(b['needs'])} and ${size(b['free'])} are free; ${size(b['coming'])} are being freed`,
  'waits-its-turn': (b: Figures) =>
    `it needs ${size(b['needs'])} and ${size(b['free'])} are free; its equals are at work, or awake for less than ${time(b['stay'])}`,
  'no-room': (b: Figures) =>
    `it needs ${size(b['needs'])} and ${size(b['free'])} are free; what is awake is of higher priority, has to stay awake, or is only on its way`,
  'min-instances': (b: Figures) => `${b['awake']} instances are awake, and ${b['min']} have to be`,
  owed: (b: Figures) =>
    `it was put to sleep at work, ${time(b['asleep'])} ago, and there is room again: ${size(b['free'])} are free`,
  queue: (b: Figures) =>
    `${number(b['queue'])} requests waited for one of ${b['awake']} instances for ${time(b['over'])}`,
  response: (b: Figures) =>
    `responses took ${time(b['response'])} for ${time(b['over'])}, usual are ${time(b['usual'])}, at ${number(b['rate'])} requests ` +
    `a second on ${b['awake']} instances`,
  'cpu-full': (b: Figures) =>
    `${b['awake']} instances used ${number(b['cpu'])} of the ${number(b['limit'])} cores they may for ${time(b['over'])}`,
  calm: (b: Figures) =>
    `calm for ${time(b['calm'])}: ${number(b['rate'])} requests a second and ${number(b['cpu'])} cores on ${b['awake']} instances`,
  drained: (b: Figures) => `its requests have ended, ${time(b['draining'])} after it got no new ones`,
  'drained-long': (b: Figures) =>
    `it got no new requests for ${time(b['draining'])}, and ${b['open']} are still open: they go on when it is woken`,
  'spare-enough': (b: Figures) => `${b['spares']} instances sleep as spares, and ${b['kept']} are kept`,
  'over-max': (b: Figures) => `there are ${b['instances']} instances, and at most ${b['max']} may be`,
} as const;

export type Code = keyof typeof LINES;

/** All codes, for those who list or count them. */
export const CODES = Object.keys(LINES) as readonly Code[];

export const decision = (
  kind: Kind,
  on: { readonly aid: string | null; readonly service: string },
  code: Code,
  because: Figures,
): Decision => ({
  kind,
  aid: on.aid,
  service: on.service,
  code,
  because,
  reason: LINES[code](because),
});
