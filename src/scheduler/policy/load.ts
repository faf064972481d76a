/** Whether a service is overloaded: requests wait for an instance, responses take far longer than usual, or the processors are used up. */
import type { Code, Figures } from './decision.ts';
import type { ServiceNote } from './memory.ts';
import type { Round } from './round.ts';
import type { Crew } from './scale.ts';

export interface Overload {
  readonly code: Code;
  readonly because: Figures;
  readonly since: number;
  /** Whether one more instance would hardly do. */
  readonly isBad: boolean;
}

interface Sign {
  readonly code: Code;
  readonly figures: Figures;
  readonly isBad: boolean;
}

/** Then its responses take as long as they usually do. */
const hasLittleToDo = ({ cpu, cpuLimit }: Crew): boolean => cpu <= cpuLimit / 2;

const sign = (round: Round, crew: Crew, note: ServiceNote): Sign | null => {
  const { tuning } = round;
  const { load } = crew.service;
  const awake = crew.serving.length;
  if (awake === 0) return null;
  if (load && load.queue > 0)
    return { code: 'queue', figures: { queue: load.queue, awake }, isBad: load.queue >= 4 * awake };
  if (crew.cpu >= tuning.cpuFull * crew.cpuLimit)
    return { code: 'cpu-full', figures: { cpu: crew.cpu, limit: crew.cpuLimit, awake }, isBad: false };
  if (load?.responseMs == null || load.rate < tuning.overRate) return null;
  // Of a service that was busy from its first second on nobody knows what is usual.
  if (note.usual === null && hasLittleToDo(crew)) return null;
  const usual = note.usual ?? tuning.overUnknown / tuning.overTimes;
  if (load.responseMs < tuning.overTimes * usual) return null;
  const { responseMs: response, rate } = load;
  const isBad = response >= 2 * tuning.overTimes * usual;
  return { code: 'response', figures: { response, usual, rate, awake }, isBad };
};

/** Milliseconds between two adjustments of what is usual, so that it does not depend on how often somebody looks. */
const USUAL_EVERY_MS = 1000;

/** What is usual follows shorter responses quickly and longer ones slowly, and only while there is little to do. */
const learn = (round: Round, crew: Crew, note: ServiceNote): ServiceNote => {
  const response = crew.service.load?.responseMs ?? null;
  if (response === null || !hasLittleToDo(crew)) return note;
  if (round.now - note.usualAt < USUAL_EVERY_MS) return note;
  const { usual } = note;
  const next = usual === null ? response : usual + (response - usual) * (response < usual ? 0.3 : 0.02);
  return { ...note, usual: next, usualAt: round.now };
};

export const overload = (
  round: Round,
  crew: Crew,
  note: ServiceNote,
): { readonly over: Overload | null; readonly note: ServiceNote } => {
  const found = sign(round, crew, note);
  if (!found) {
    const learnt = learn(round, crew, note);
    return { over: null, note: learnt.overSince === null ? learnt : { ...learnt, overSince: null } };
  }
  const since = note.overSince ?? round.now;
  const fullRate = crew.service.load ? crew.service.load.rate / crew.serving.length : note.fullRate;
  const because = { ...found.figures, over: round.now - since };
  return {
    over: { code: found.code, because, since, isBad: found.isBad },
    note: { ...note, overSince: since, calmSince: null, fullRate },
  };
};
