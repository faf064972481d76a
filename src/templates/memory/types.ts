/** What the memory of a template's processes holds of its identity: found once, plain data, and changed in each clone. */

/** A string `NAME=value` that the program reads as its environment. */
export interface KnownString {
  readonly at: number;
  /** Bytes that are the string's own, its NUL included: a longer one does not fit in its place. */
  readonly room: number;
  /**
   * Words of arrays like `environ` that hold its address and may hold another one. Only of strings in the kernel's own block: what a
   * program has allocated it may release, and no address of ours can be released.
   */
  readonly pointers: readonly number[];
}

/** Memory for strings that are longer than those before them. */
export interface Spare {
  readonly at: number;
  readonly size: number;
  /** Bytes of it that hold something already: of a clone that has become a template. */
  readonly used: number;
  /** Whether the images must be given it first. */
  readonly added: boolean;
}

export interface ProcessPersonality {
  /** Inside the application. */
  readonly pid: number;
  readonly variables: Readonly<Record<string, readonly KnownString[]>>;
  /** Where the kernel had put its environment is something else now, so that it may have copied anything elsewhere. */
  readonly overwritten: boolean;
  /** Null when no string can be anywhere else. */
  readonly spare: Spare | null;
  /** Of fields of 65 bytes that hold the host name. */
  readonly nodeNames: readonly number[];
  /** Of 32-bit numbers that OpenSSL compares with its process ID, and seeds its generator again when they differ. */
  readonly generators: readonly number[];
  /** Of generation cells, which begin with their magic. */
  readonly cells: readonly number[];
}

export interface Personality {
  readonly format: 1;
  /** The variables that were looked for. */
  readonly names: readonly string[];
  readonly processes: readonly ProcessPersonality[];
}

/** A worker thread's task: everything by path, and what is looked for. */
export interface FindJob {
  /** Directory of the images. */
  readonly images: string;
  /** Path of the engine's message descriptors. */
  readonly descriptors: string;
  /** Paths of the layers that the images map, by their names. */
  readonly layers: Readonly<Record<string, string>>;
  /** Values of variables in the application that becomes the template. */
  readonly variables: Readonly<Record<string, string>>;
  readonly hostname: string;
}

/** Bytes for one place of a process's memory. */
export interface Poke {
  /** Inside the application. */
  readonly pid: number;
  readonly at: number;
  readonly bytes: Buffer;
}

/** A variable whose new value a process does not see in its memory. */
export interface Missing {
  readonly pid: number;
  readonly name: string;
  /** No copy is known, and it has written over its environment, or nobody has looked; or a string can neither grow nor move. */
  readonly reason: 'absent' | 'no room';
}
