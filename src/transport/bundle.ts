/**
 * What a snapshot is on its way: a manifest, and objects that are known by their SHA-256. This room moves those and knows
 * nothing of what is in them; the store of snapshots implements both sides.
 */

/** `file`: contents of a file. `layer`: the packed form of a memory layer. Both are plain bytes here. */
export type ObjectKind = 'file' | 'layer';

export interface BundleObject {
  /** SHA-256 of the stream, 64 digits of lower-case hexadecimal. */
  readonly digest: string;
  /** Bytes of the stream. */
  readonly size: number;
  readonly kind: ObjectKind;
}

/** A snapshot that leaves. It must not change meanwhile. */
export interface BundleSource {
  /** JSON text, 32 MiB at most. */
  readonly manifest: Buffer;
  /** Each digest once. */
  readonly objects: readonly BundleObject[];
  /** The bytes of an object; may be called again for the same one. */
  open(digest: string): AsyncIterable<Buffer>;
}

/** A snapshot that arrives. */
export interface BundleSink {
  has(digest: string): Promise<boolean>;
  /**
   * Keeps an object. The stream must be read to its end: it throws instead of ending when the bytes are not the object's, and
   * then `put` must reject and leave nothing.
   */
  put(object: BundleObject, stream: AsyncIterable<Uint8Array>): Promise<void>;
  /** Called last and once, when every object is there. Objects without it are garbage. */
  commit(manifest: Buffer): Promise<void>;
}

export interface Progress {
  /** Bytes of objects that were dealt with so far, and of all of them. */
  readonly done: number;
  readonly total: number;
  /** Digest of the object at hand. */
  readonly object: string;
}

export interface TransferOptions {
  readonly onProgress?: (progress: Progress) => void;
  readonly signal?: AbortSignal | undefined;
}

/** Largest manifest, in bytes. */
export const MANIFEST_LIMIT = 32 << 20;
