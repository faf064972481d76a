/** Snapshots in memory, as both ends of a transfer. */
import { createHash } from 'node:crypto';
import type { BundleObject, BundleSink, BundleSource, ObjectKind } from '../../src/transport/index.ts';

const sha256 = (data: Uint8Array): string => createHash('sha256').update(data).digest('hex');

/** A snapshot of these contents; every second one passes as a layer. Equal contents are one object. */
export const sourceOf = (manifest: string, contents: readonly Buffer[]): BundleSource => {
  const bytes = new Map(contents.map((content) => [sha256(content), content]));
  const objects = [...bytes].map(([digest, content], index) => {
    const kind: ObjectKind = index % 2 === 0 ? 'file' : 'layer';
    return { digest, size: content.length, kind };
  });
  const open = async function* (digest: string): AsyncGenerator<Buffer> {
    const content = bytes.get(digest) as Buffer;
    for (let at = 0; at < content.length; at += 1 << 16) yield content.subarray(at, at + (1 << 16));
  };
  return { manifest: Buffer.from(manifest), objects, open };
};

/** A store: keeps only objects whose digest it found right. */
export class MemorySink implements BundleSink {
  readonly objects = new Map<string, Buffer>();
  readonly commits: string[] = [];

  async has(digest: string): Promise<boolean> {
    return this.objects.has(digest);
  }

  async put(object: BundleObject, stream: AsyncIterable<Uint8Array>): Promise<void> {
    const chunks: Uint8Array[] = [];
    for await (const chunk of stream) chunks.push(chunk);
    const content = Buffer.concat(chunks);
    if (sha256(content) !== object.digest) throw new Error(`${object.digest} is not what came`);
    this.objects.set(object.digest, content);
  }

  async commit(manifest: Buffer): Promise<void> {
    this.commits.push(manifest.toString('utf8'));
  }
}
