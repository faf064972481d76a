/** Templates and clones of a lab, made by the command line. */
import { expect } from 'vitest';
import type { CloneView, TemplateDetail, TemplateView } from '../../src/api/index.ts';
import { applicationOf } from './application.ts';
import type { Application } from './application.ts';
import { loopsOf } from './belongings.ts';
import { eventually } from './eventually.ts';
import type { Lab } from './lab.ts';

/** A clone with its number and its state when the command ended. */
export type Clone = Application & Pick<CloneView, 'instance' | 'ms'> & { readonly began: CloneView['state'] };

export const makeTemplate = async (
  lab: Lab,
  name: string,
  { name: from }: Pick<Application, 'name'>,
  ...options: string[]
): Promise<TemplateView> =>
  (await lab.succeed('template', 'create', name, '--from', from, '--json', ...options)).json<TemplateView>();

export const makeClones = async (
  lab: Lab,
  template: string,
  count: number,
  ...options: string[]
): Promise<Clone[]> => {
  const result = await lab.succeed('clone', template, '--count', String(count), '--json', ...options);
  return result.json<CloneView[]>().map((view) => ({
    ...applicationOf(lab, view),
    instance: view.instance,
    ms: view.ms,
    began: view.state,
  }));
};

/** The only one. */
export const makeClone = async (lab: Lab, template: string, ...options: string[]): Promise<Clone> => {
  const [clone] = await makeClones(lab, template, 1, ...options);
  if (clone === undefined) throw new Error(`the clone of ${template} is missing`);
  return clone;
};

export const removeAll = async (lab: Lab, apps: readonly Pick<Application, 'aid'>[]): Promise<void> => {
  if (apps.length > 0) await lab.succeed('rm', '--force', ...apps.map(({ aid }) => aid));
};

export const templatesOf = async (lab: Lab): Promise<TemplateView[]> =>
  (await lab.succeed('template', 'ls', '--json')).json();

export const inspectTemplate = async (lab: Lab, name: string): Promise<TemplateDetail> =>
  (await lab.succeed('template', 'inspect', name, '--json')).json();

export const removeTemplate = async (lab: Lab, name: string): Promise<void> => {
  await lab.succeed('template', 'rm', name);
};

/** Ends a lab; not a loop device may be left of its templates. */
export const endLab = async (lab: Lab): Promise<void> => {
  await lab[Symbol.asyncDispose]();
  // The kernel lets go of one a moment after its last user.
  await eventually(() => expect(loopsOf(lab)).toEqual([]));
};
