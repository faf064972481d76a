/** What goes into the classification, and what the tables find in it. */
import type { AccessType, ChainSpec, ResourceClass, ResourceType } from '../../api/index.ts';
import type { DumpSummary } from '../../criu/index.ts';
import type { Reachable } from '../../snapshots/index.ts';
import type { Places } from '../format.ts';
import type { RuledFiles } from './overrides.ts';
import type { Traits } from './criteria.ts';

/** A rule as it was written, and where. */
export interface Written {
  readonly text: string;
  readonly file: string;
  readonly line: number;
}

export interface Classification extends Written {
  readonly type: ResourceType;
  /** Null for all of the type. */
  readonly pattern: string | null;
  readonly access: AccessType;
  readonly class: ResourceClass;
}

export interface ClassifyInput {
  readonly summary: DumpSummary;
  readonly application: {
    readonly aid: string;
    readonly name: string;
    readonly hostname: string;
    readonly address: string;
    readonly spec: ChainSpec;
  };
  /** Its connections with others, which the summary lacks when the images have been cleaned. */
  readonly reachable: Pick<Reachable, 'connections'>;
  readonly rules: {
    readonly classifications: readonly Classification[];
    /** Of `SET ENV`. */
    readonly variables: readonly (Written & { readonly name: string })[];
    /** What programs open is `from`, and the path of a link. */
    readonly redirects: readonly (Written & { readonly from: string })[];
    readonly links: readonly (Written & { readonly path: string })[];
  };
  /** Where redirections and links lead for the application. */
  readonly places?: Places;
  /** What rules single out among its files; undefined when nobody has looked. */
  readonly ruled?: RuledFiles;
}

/** A resource before rules of `CLASSIFY` are asked. */
export interface Found {
  readonly type: ResourceType;
  readonly name: string;
  readonly data: Readonly<Record<string, unknown>>;
  /** Only those that hold; the others do not. */
  readonly traits: Partial<Traits>;
  /** What happens to it in a clone. */
  readonly action: string;
  /** What it is used for. */
  readonly access: readonly Exclude<AccessType, 'any'>[];
  /** The rule that made it what it is. */
  readonly rule?: Written | undefined;
  /** Whether it is a file or directory by its path, in the application's own layer: rules can make something else of it. */
  readonly own?: boolean;
}

/** Whether a path is another one or below it. */
export const isWithin = (path: string, other: string): boolean =>
  path === other || path.startsWith(other.endsWith('/') ? other : `${other}/`);

/** What programs make, use and remove. */
export const OWN: Found['access'] = ['create', 'read', 'write', 'destroy'];

/** By a key, in the order in which the keys first come. */
export const groupBy = <T>(items: readonly T[], key: (item: T) => string): Map<string, T[]> => {
  const groups = new Map<string, T[]>();
  for (const item of items) {
    const found = groups.get(key(item));
    if (found) found.push(item);
    else groups.set(key(item), [item]);
  }
  return groups;
};

type Holders = DumpSummary['objects'][number]['holders'];

/** PIDs of those who hold some objects, each once. */
export const pidsOf = (objects: readonly { readonly holders: Holders }[]): number[] =>
  [...new Set(objects.flatMap(({ holders }) => holders.map(({ pid }) => pid)))].toSorted((a, b) => a - b);

/** A process as users know it. The chain's first one is AppShot's, whatever its file is called. */
export const titleOf = ({ pid, parent, name }: DumpSummary['processes'][number]): string =>
  `${parent === 0 ? 'appshot-chain' : name} (${pid})`;

export const processName = ({ processes }: DumpSummary, pid: number | undefined): string => {
  const found = processes.find((process) => process.pid === pid);
  return found ? titleOf(found) : 'nobody';
};
