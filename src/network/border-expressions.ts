/** Parts of nftables rules as libnftables-json(5) writes them, for the guard of the ports and for the border. */
import type { NftCommand } from '../kernel/index.ts';

export type Expression = Readonly<Record<string, unknown>>;

export const payload = (protocol: string, field: string): Expression => ({ payload: { protocol, field } });
export const meta = (key: string): Expression => ({ meta: { key } });
export const concat = (...parts: unknown[]): Expression => ({ concat: parts });
export const match = (left: unknown, right: unknown, op = '=='): Expression => ({
  match: { op, left, right },
});
export const jump = (target: string): Expression => ({ jump: { target } });
export const goTo = (target: string): Expression => ({ goto: { target } });
export const ACCEPT: Expression = { accept: null };
export const DROP: Expression = { drop: null };

interface Hook {
  readonly type: 'filter' | 'nat';
  readonly hook: string;
  readonly prio: number;
}

interface NamedSet {
  readonly type: string | readonly string[];
  /** Whether its elements are ranges, such as networks. */
  readonly ranges?: boolean;
  /** Whether each element counts the packets that match it. */
  readonly counts?: boolean;
  readonly elements?: readonly unknown[];
}

/** A table as data. */
export interface Table {
  readonly family: 'inet' | 'bridge';
  readonly name: string;
  readonly sets: Readonly<Record<string, NamedSet>>;
  /** Chains by name, those that are jumped to before those that jump; one with a hook lets pass what no rule decides. */
  readonly chains: Readonly<
    Record<string, { readonly hook?: Hook; readonly rules: readonly (readonly Expression[])[] }>
  >;
}

/** The commands that put the table in the place of an earlier one, if there is one; they are for one transaction. */
export const replacement = ({ family, name: table, sets, chains }: Table): NftCommand[] => {
  const own = { family, table };
  const self = { table: { family, name: table } };
  return [
    // Only what exists can be deleted, and adding what exists is no error.
    { add: self },
    { delete: self },
    { add: self },
    ...Object.entries(sets).map(([name, { type, ranges, counts, elements = [] }]) => ({
      add: {
        set: {
          ...own,
          name,
          type,
          ...(ranges ? { flags: ['interval'] } : {}),
          ...(counts ? { stmt: [{ counter: null }] } : {}),
          ...(elements.length > 0 ? { elem: elements } : {}),
        },
      },
    })),
    ...Object.entries(chains).map(([name, { hook }]) => ({
      add: { chain: { ...own, name, ...(hook ? { ...hook, policy: 'accept' } : {}) } },
    })),
    ...Object.entries(chains).flatMap(([chain, { rules }]) =>
      rules.map((expr) => ({ add: { rule: { ...own, chain, expr } } })),
    ),
  ];
};
