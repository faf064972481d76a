/** What AppShot tells an application about itself, in `/.appshot/identity.json`. */
export interface Identity {
  readonly aid: string;
  readonly name: string;
  readonly hostname: string;
  readonly address: string;
  /** Its number among the clones of its template, from 1; 0 for what is no clone of a template. */
  readonly instance: number;
  /** Name of the template; empty for what is no clone of one. */
  readonly template: string;
  /** How often what is in its memory has been cloned: 0 for what was run. */
  readonly generation: number;
  /** Host name of the machine. */
  readonly node: string;
}

/** Who this application is now; null outside AppShot. Reads a file. */
export function identity(): Identity | null;

/** How often what is in this program's memory has been cloned. Right from a clone's first instruction on; costs nanoseconds. */
export function generation(): number;

/** Whether this program began as another's memory. */
export function isClone(): boolean;

/**
 * Calls `listener` with the new identity (null when the program has removed the file) in each clone of this program, in a turn of the event
 * loop soon after it has begun. It does not keep the program alive. Gives the function that ends it.
 */
export function onClone(listener: (identity: Identity | null) => void): () => void;

/**
 * From now on Math.random, crypto.randomUUID, crypto.randomUUIDv7 and crypto.randomInt of this thread begin anew in each clone, before they give
 * out their first number there. Call it before other modules keep a reference to these functions.
 */
export function reseedOnClone(): void;

/** Begins new random streams for them at once, for a program that prefers to choose the moment. */
export function reseed(): void;
