/**
 * A chain as native/chain.c reads it: fields that end with NUL.
 *
 *     capabilities (hexadecimal), number of processes, then for each: its size in bytes, and
 *     name, uid, gid, groups, directory, number of arguments, arguments, number of variables, variables
 */
import type { ChainSpec, ProcessSpec } from '../api/index.ts';
import { AppShotError } from '../common/index.ts';
import { capabilityMask } from './capabilities.ts';
import { findUser } from './users.ts';

const PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

/** Who the application is: primed into every process's environment (mission A3). */
export interface Identity {
  readonly aid: string;
  readonly name: string;
  readonly hostname: string;
  readonly address: string;
  /** Its number among the clones of its template, and the template's name; 0 and empty for others. */
  readonly instance: number;
  readonly template: string;
  /** How often what is in its memory has been cloned: 0 for what was run. */
  readonly generation: number;
  /** Host name of the machine. */
  readonly node: string;
  /** What rules set in every program's environment (docs/rules.md). */
  readonly variables: Readonly<Record<string, string>>;
}

/** The variables that follow the identity: in a clone they have other values, also in the memory of its programs. */
export const identityVariables = (identity: Identity): Record<string, string> => ({
  HOSTNAME: identity.hostname,
  APPSHOT_AID: identity.aid,
  APPSHOT_NAME: identity.name,
  APPSHOT_ADDRESS: identity.address,
  APPSHOT_INSTANCE: String(identity.instance),
  APPSHOT_TEMPLATE: identity.template,
  APPSHOT_GENERATION: String(identity.generation),
});

const fields = (values: readonly (string | number)[]): Buffer => {
  const text = values.map(String);
  if (text.some((value) => value.includes('\0')))
    throw new AppShotError('BAD_REQUEST', { field: 'processes', reason: 'a text holds a NUL byte' });
  return Buffer.from(text.map((value) => `${value}\0`).join(''), 'utf8');
};

/** The environment of a program inside an application: what everyone gets, and its own on top. */
export const encodeEnvironment = (
  own: Readonly<Record<string, string>>,
  home: string,
  identity: Identity,
): Record<string, string> => ({
  PATH,
  HOME: home,
  ...identityVariables(identity),
  ...own,
  ...identity.variables,
});

const encodeProcess = (process: ProcessSpec, identity: Identity): Buffer => {
  const user = findUser(process.user);
  const environment = Object.entries(encodeEnvironment(process.environment, user.home, identity)).map(
    ([name, value]) => `${name}=${value}`,
  );
  return fields([
    process.name,
    user.uid,
    user.gid,
    user.groups.join(','),
    process.workingDirectory ?? '/',
    process.command.length,
    ...process.command,
    environment.length,
    ...environment,
  ]);
};

/** Fails with `BAD_USER` and `BAD_REQUEST`. */
export const encodeSpecification = (spec: ChainSpec, identity: Identity): Buffer =>
  Buffer.concat([
    fields([capabilityMask(spec.capabilities).toString(16), spec.processes.length]),
    ...spec.processes.flatMap((process) => {
      const bytes = encodeProcess(process, identity);
      return [fields([bytes.length]), bytes];
    }),
  ]);
