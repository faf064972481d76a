/** What a decision must never be, at the moment at which it is carried out. */
import type { Decision, Service } from '../../../src/scheduler/policy/index.ts';
import type { SimulatedApplication } from './application.ts';
import type { Site } from './site.ts';

/** The states in which each may be decided. */
const FROM: Record<Decision['kind'], readonly string[]> = {
  freeze: ['running'],
  thaw: ['frozen'],
  sleep: ['running', 'frozen'],
  wake: ['asleep'],
  admit: ['asleep'],
  hold: ['asleep'],
  drain: ['running', 'frozen'],
  undrain: ['running', 'frozen'],
  retire: ['running', 'frozen', 'asleep'],
  clone: [],
};

const GONE: readonly string[] = ['asleep', 'sleeping', 'other'];

const leavesTooFew = (app: SimulatedApplication, { instances }: Site, { min }: Service): boolean => {
  const left = instances.filter((one) => one !== app && !one.isDraining && !GONE.includes(one.state));
  return left.length < min && !app.isDraining;
};

/** What is wrong with a decision, in words; nothing when it is sound. */
export const faultsOf = (decision: Decision, app: SimulatedApplication | undefined, site: Site): string[] => {
  const { kind, code, reason, because } = decision;
  const faults: string[] = [];
  const service = site.view(0);
  if (reason.length < 10 || /NaN|undefined|Infinity/.test(reason)) faults.push('no reason');
  if (kind === 'clone' && site.instances.length >= service.max) faults.push('more than the maximum');
  if (app) {
    if (!FROM[kind].includes(app.state)) faults.push(`it is ${app.state}`);
    if (kind === 'sleep' && code === 'idle' && app.requestsOpen > 0) faults.push('it has requests');
    if (code === 'room' && Number(because['forPriority']) < app.priority) faults.push('for a lower priority');
    if (code === 'room' && because['forPriority'] === app.priority && app.requestsOpen > 0)
      faults.push('at work, for an equal');
    if (kind === 'sleep' && leavesTooFew(app, site, service)) faults.push('fewer than the minimum');
    if (kind === 'retire' && (!app.made || app.requestsOpen > 0)) faults.push('a user’s, or at work');
  }
  return faults.map((fault) => `${kind} (${code}) of ${app?.name ?? service.name}: ${fault}`);
};
