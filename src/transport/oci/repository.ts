/**
 * One repository of an image registry, by the OCI distribution specification 1.1: blobs by digest, manifests by tag or digest.
 *
 * Every operation is repeated when the connection breaks or the registry has trouble (5xx, 429): three attempts, 0.25 s and 1 s
 * apart. A blob is sent whole (POST, then PUT with its length), so that a broken attempt leaves nothing that counts.
 */
import type { IncomingMessage, OutgoingHttpHeaders } from 'node:http';
import { setTimeout } from 'node:timers/promises';
import { AppShotError, sanitiseLine } from '../../common/index.ts';
import type { Bytes } from '../bytes.ts';
import { checked } from '../records.ts';
import { damaged } from '../refusal.ts';
import { sha256 } from '../statement.ts';
import { answerChallenge } from './access.ts';
import type { Credentials } from './credentials.ts';
import { ConnectionLost, bodyOf, exchange, smallBody } from './http.ts';
import { isLoopback } from './reference.ts';
import type { Reference } from './reference.ts';

const WAITS_MS = [250, 1000];
const REDIRECTS = 5;
export const OCI_MANIFEST = 'application/vnd.oci.image.manifest.v1+json';
/** What registries commonly allow for a manifest, in bytes. */
export const OCI_MANIFEST_LIMIT = 4 << 20;
const ANY_MANIFEST = [
  OCI_MANIFEST,
  'application/vnd.oci.image.index.v1+json',
  'application/vnd.docker.distribution.manifest.v2+json',
  'application/vnd.docker.distribution.manifest.list.v2+json',
].join(', ');

export interface AccessOptions {
  readonly credentials?: Credentials | undefined;
  /** HTTP without TLS; always so for this machine itself. */
  readonly plainHttp?: boolean | undefined;
  readonly signal?: AbortSignal | undefined;
}

export interface Blob {
  /** SHA-256 in hexadecimal. */
  readonly digest: string;
  readonly size: number;
}

interface Sent {
  readonly method: string;
  readonly url: URL;
  readonly headers?: OutgoingHttpHeaders;
  /** Called for each attempt. */
  readonly body?: () => Bytes;
}

/** The registry has trouble that may pass. */
class ServerTrouble extends Error {
  readonly problem: AppShotError;

  constructor(problem: AppShotError) {
    super(problem.message);
    this.problem = problem;
  }
}

const reasonIn = (body: Buffer | undefined): string => {
  try {
    const { errors } = JSON.parse(body?.toString('utf8') ?? '') as { errors: { message: unknown }[] };
    return sanitiseLine(String(errors[0]?.message)).slice(0, 200);
  } catch {
    return 'it gives no reason';
  }
};

export class Repository {
  readonly reference: Reference;
  readonly #options: AccessOptions;
  readonly #plainHttp: boolean;
  readonly #base: URL;
  #authorization: string | undefined;

  constructor(reference: Reference, options: AccessOptions = {}) {
    this.reference = reference;
    this.#options = options;
    this.#plainHttp = options.plainHttp === true || isLoopback(reference.host);
    const scheme = this.#plainHttp ? 'http' : 'https';
    this.#base = new URL(`${scheme}://${reference.host}/v2/${reference.name}/`);
  }

  async hasBlob(digest: string): Promise<boolean> {
    return this.#retrying(async () => {
      const answer = await this.#send({ method: 'HEAD', url: this.#url(`blobs/sha256:${digest}`) });
      answer.resume();
      return answer.statusCode === 200;
    });
  }

  /** Hands the bytes of a blob to `use`, again from the start when they break off; they are proved to be the blob's. */
  async fetchBlob<T>(blob: Blob, use: (bytes: Bytes) => Promise<T>): Promise<T> {
    return this.#retrying(async () => {
      const url = this.#url(`blobs/sha256:${blob.digest}`);
      const answer = await this.#send({ method: 'GET', url });
      if (answer.statusCode === 404) throw damaged(`the image registry lacks its blob ${blob.digest}`);
      try {
        return await use(checked(blob, bodyOf(answer, this.#options.signal)));
      } finally {
        // What was not read to its end leaves a connection that is of no use.
        answer.destroy();
      }
    });
  }

  /** Uploads a blob; `open` gives its bytes and is called for each attempt. */
  async sendBlob({ digest, size }: Blob, open: () => Bytes): Promise<void> {
    await this.#retrying(async () => {
      const begun = await this.#send({
        method: 'POST',
        url: this.#url('blobs/uploads/'),
        headers: { 'content-length': 0 },
      });
      begun.resume();
      const location = new URL(this.#expect(begun, 202).headers.location ?? '', this.#base);
      location.searchParams.set('digest', `sha256:${digest}`);
      const headers = { 'content-type': 'application/octet-stream', 'content-length': size };
      const done = await this.#send({ method: 'PUT', url: location, headers, body: open });
      done.resume();
      this.#expect(done, 201);
    });
  }

  /** The manifest that a tag or digest (`sha256:…`) names; undefined when there is none. */
  async fetchManifest(name: string): Promise<Buffer | undefined> {
    return this.#retrying(async () => {
      const url = this.#url(`manifests/${name}`);
      const answer = await this.#send({ method: 'GET', url, headers: { accept: ANY_MANIFEST } });
      const body = await smallBody(answer, OCI_MANIFEST_LIMIT);
      if (answer.statusCode === 404) return undefined;
      if (body === undefined) throw damaged('its manifest is too large');
      if (name.startsWith('sha256:') && name !== `sha256:${sha256(body)}`)
        throw damaged('its manifest was changed');
      return body;
    });
  }

  async sendManifest(tag: string, manifest: Buffer): Promise<void> {
    await this.#retrying(async () => {
      const answer = await this.#send({
        method: 'PUT',
        url: this.#url(`manifests/${tag}`),
        headers: { 'content-type': OCI_MANIFEST, 'content-length': manifest.length },
        body: async function* () {
          yield manifest;
        },
      });
      answer.resume();
      this.#expect(answer, 201);
    });
  }

  #url(path: string): URL {
    return new URL(path, this.#base);
  }

  #expect(answer: IncomingMessage, status: number): IncomingMessage {
    if (answer.statusCode === status) return answer;
    if (answer.statusCode === 404) throw this.notFound();
    throw this.#failed(answer, 'an upload', 'it was expected to take it');
  }

  notFound(): AppShotError {
    const { host, text } = this.reference;
    return new AppShotError('REMOTE_NOT_FOUND', { host, reference: text });
  }

  #failed(answer: IncomingMessage, request: string, reason: string): AppShotError {
    const { host } = this.reference;
    return new AppShotError('REMOTE_FAILED', { host, request, status: answer.statusCode, reason });
  }

  async #retrying<T>(work: () => Promise<T>): Promise<T> {
    for (let attempt = 0; ; attempt++) {
      try {
        return await work();
      } catch (error) {
        const wait = WAITS_MS[attempt];
        const passing = error instanceof ConnectionLost || error instanceof ServerTrouble;
        if (passing && wait !== undefined) await this.#pause(wait);
        else if (error instanceof ServerTrouble) throw error.problem;
        else if (error instanceof ConnectionLost) throw this.#unreachable(error);
        else throw error;
      }
    }
  }

  async #pause(milliseconds: number): Promise<void> {
    const { signal } = this.#options;
    // The timer rejects with an error of its own; callers are told the signal's reason.
    await setTimeout(milliseconds, undefined, { signal }).catch(() => signal?.throwIfAborted());
  }

  #unreachable(error: ConnectionLost): AppShotError {
    const { host } = this.reference;
    return new AppShotError('REMOTE_UNREACHABLE', { host, reason: error.message }, { cause: error });
  }

  /** Sends a request as who we are; follows redirections. The answer is a success, or 404. */
  async #send(sent: Sent): Promise<IncomingMessage> {
    let answer = await this.#follow(sent);
    if (answer.statusCode === 401) {
      answer.resume();
      const { credentials, signal } = this.#options;
      this.#authorization = await answerChallenge(answer, credentials, this.#plainHttp, signal);
      if (this.#authorization === undefined)
        throw this.#refused(
          credentials === undefined ? 'no credentials are kept for it' : 'it does not take the credentials',
        );
      answer = await this.#follow(sent);
    }
    const status = answer.statusCode ?? 0;
    if (status < 300 || status === 404) return answer;
    const reason = reasonIn(await smallBody(answer, 1 << 16).catch(() => undefined));
    if (status === 401 || status === 403) throw this.#refused(reason);
    const problem = this.#failed(answer, `${sent.method} ${sent.url.pathname}`, reason);
    throw status === 429 || status >= 500 ? new ServerTrouble(problem) : problem;
  }

  #refused(reason: string): AppShotError {
    const { host, name } = this.reference;
    return new AppShotError('REMOTE_REFUSED', { host, name, reason });
  }

  /** Credentials are for the registry's own host only, and TLS is not left by a redirection. */
  async #follow({ method, url, headers, body }: Sent): Promise<IncomingMessage> {
    let to = url;
    for (let hops = 0; ; hops++) {
      if (to.protocol !== 'https:' && !this.#plainHttp)
        throw this.#refused(`it sends us to ${to.host} without TLS`);
      const own = to.host === this.#base.host && this.#authorization !== undefined;
      const answer = await exchange({
        method,
        url: to,
        headers: { ...headers, ...(own && { authorization: this.#authorization }) },
        body: body?.(),
        signal: this.#options.signal,
      });
      const { location } = answer.headers;
      if (![301, 302, 303, 307, 308].includes(answer.statusCode ?? 0) || location === undefined)
        return answer;
      answer.resume();
      if (hops === REDIRECTS) throw this.#refused('it sends us from one address to the next');
      to = new URL(location, to);
    }
  }
}
