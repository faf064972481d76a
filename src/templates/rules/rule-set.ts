import type { AccessType, ResourceClass, ResourceType } from '../../api/index.ts';
import type { Place } from './place.ts';
import type { Meaning, Text } from './text.ts';

/** What every rule has: its line as it was written, and the place of what it is about. */
export interface Rule extends Place {
  readonly text: string;
}

export interface Definition extends Rule {
  readonly name: string;
  readonly meaning: Meaning;
}

export interface Redirection extends Rule {
  readonly from: string;
  readonly to: Text;
}

export interface Link extends Rule {
  readonly path: string;
  readonly target: Text;
}

export interface EnvironmentVariable extends Rule {
  readonly name: string;
  readonly value: Text;
}

export interface Classification extends Rule {
  readonly type: ResourceType;
  /** Of the resource's name: null is every one of the type. */
  readonly pattern: string | null;
  readonly access: AccessType;
  readonly class: ResourceClass;
}

/** What is done inside a clone before its first packet; it has so many milliseconds for it. */
export type Action = { readonly withinMs: number } & (
  | { readonly kind: 'command'; readonly command: readonly string[] }
  /** Signals have no SIG in front; null is every process of the chain. */
  | { readonly kind: 'signal'; readonly signal: string; readonly process: string | null }
  | { readonly kind: 'request'; readonly url: string }
);
export type Hook = Rule & Action;

export interface RuleSet {
  /** What messages call the texts that it comes from, the earliest first. */
  readonly files: readonly string[];
  readonly definitions: readonly Definition[];
  readonly redirects: readonly Redirection[];
  readonly links: readonly Link[];
  readonly variables: readonly EnvironmentVariable[];
  readonly classifications: readonly Classification[];
  readonly hooks: readonly Hook[];
}

/** One set of all, in this order: what the application was launched with, what it says itself, what its template is given. */
export const joinRules = (sets: readonly RuleSet[]): RuleSet => ({
  files: sets.flatMap(({ files }) => files),
  definitions: sets.flatMap(({ definitions }) => definitions),
  redirects: sets.flatMap(({ redirects }) => redirects),
  links: sets.flatMap(({ links }) => links),
  variables: sets.flatMap(({ variables }) => variables),
  classifications: sets.flatMap(({ classifications }) => classifications),
  hooks: sets.flatMap(({ hooks }) => hooks),
});
