/** Who one application is, as far as rules can speak of it. */
export interface Instance {
  readonly aid: string;
  readonly name: string;
  readonly hostname: string;
  readonly address: string;
  /** Its number among the clones of its template, from 1; 0 for what was run. */
  readonly instance: number;
  readonly node: string;
  /** Name of the template; empty for what was run. */
  readonly template: string;
  /** How many cloned ancestors it has. */
  readonly generation: number;
}
