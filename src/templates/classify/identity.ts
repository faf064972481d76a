/** Who an application is, and what its rules make its own: names, address, variables, links, volumes. */
import { identityVariables } from '../../harness/index.ts';
import { OWN } from './found.ts';
import type { ClassifyInput, Found } from './found.ts';

const names = ({ application }: ClassifyInput): Found[] => {
  const allocated = { data: {}, traits: { networkUnique: true }, access: ['read'] } as const;
  return [
    { ...allocated, type: 'aid', name: application.aid, action: 'a new one from the registry' },
    { ...allocated, type: 'address', name: application.address, action: 'a free one from the registry' },
    { ...allocated, type: 'hostname', name: application.hostname, action: "the clone's own" },
  ];
};

/** What is asked here is what the variables are called, not their values. */
const UNKNOWN = { instance: 0, template: '', generation: 0, node: '', variables: {} };

const variables = ({ application, rules }: ClassifyInput): Found[] => {
  const processesWith = (name: string): string[] =>
    application.spec.processes
      .filter(({ environment }) => Object.hasOwn(environment, name))
      .map((process) => process.name);
  const given = application.spec.processes.flatMap(({ environment }) => Object.keys(environment));
  const set = new Map(rules.variables.map((rule) => [rule.name, rule]));
  const own = Object.keys(identityVariables({ ...application, ...UNKNOWN }));
  return [...new Set([...own, ...given, ...set.keys()])].map((name): Found => {
    const rule = set.get(name);
    // The value stays out: it may be a secret.
    const variable = { type: 'environment', name, data: { processes: processesWith(name) } } as const;
    const uses = { ...variable, access: ['read', 'write'] } as const;
    if (rule) return { ...uses, traits: { modifiable: true }, action: 'set by the rule', rule };
    if (!own.includes(name)) return { ...uses, traits: { modifiable: true }, action: 'the same value' };
    return {
      ...uses,
      traits: { modifiable: true, networkUnique: true },
      action: "the clone's own value, written into its memory",
    };
  });
};

const links = ({ rules }: ClassifyInput): Found[] => {
  const link = { type: 'link', traits: { systemUnique: true }, access: ['read'] } as const;
  const [linked, redirected] = [{ kind: 'link' }, { kind: 'redirection' }];
  return [
    ...rules.links.map((rule) => ({ ...link, name: rule.path, data: linked, rule })),
    ...rules.redirects.map((rule) => ({ ...link, name: rule.from, data: redirected, rule })),
  ].map((one) => ({ ...one, action: "leads to the clone's own place" }));
};

const volumes = ({ application: { spec } }: ClassifyInput): Found[] =>
  spec.volumes.map(({ source, target, readOnly }) => ({
    type: 'volume',
    name: target,
    data: { source, readOnly },
    traits: { shared: true },
    action: "the machine's own, one for source and clones",
    access: readOnly ? ['read'] : OWN,
  }));

export const identity = (input: ClassifyInput): Found[] => [
  ...names(input),
  ...variables(input),
  ...links(input),
  ...volumes(input),
];
