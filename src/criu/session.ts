/**
 * One conversation with `criu swrk`: a request, notifications that it waits for an answer to, a final response.
 *
 * The engine is reached through a channel, because it lives in namespaces that this process is not in. Each message is one
 * protobuf `criu_req` or `criu_resp`. While a notification is unanswered the engine, and what it has frozen, stands still.
 */
import { AppShotError } from '../common/index.ts';
import type { Fields, Schema } from './schema.ts';

/** `criu_req_type` of CRIU's rpc.proto. */
const DUMP = 1;
const RESTORE = 2;
const CHECK = 3;
const NOTIFY = 6;

export interface EngineChannel {
  /**
   * Sends one message with descriptors that the engine's side places at its agreed numbers. What comes with the first message of a
   * restore says which stages are told.
   */
  send(message: Uint8Array, descriptors?: readonly number[], standing?: StandingAnswer): void | Promise<void>;
  /** The one receiver of messages; `undefined` says that the engine has gone. */
  receive(handler: (message: Uint8Array | undefined) => void): void;
}

/** An answer that is given near the engine, without asking, to all stages that are not `tell`. */
export interface StandingAnswer {
  readonly tell: readonly string[];
  readonly reply: Uint8Array;
  /** The guard begins when memory is in place, before anything runs. */
  readonly guard: boolean;
}

/** What is done at stages of a restore. */
export interface Stages {
  readonly tell: readonly string[];
  readonly guard: boolean;
  readonly onStage: OnStage;
}

/** Called with the name of the stage, such as `post-dump`, and the root's PID where the engine tells it; false or a rejection makes the engine give up and undo. */
export type OnStage = (stage: string, pid: number | undefined) => boolean | Promise<boolean>;

export interface EngineAnswer {
  readonly success: boolean;
  readonly response: Fields;
}

const textOf = (fields: Fields | undefined, name: string): string => {
  const value = fields?.[name];
  return typeof value === 'string' ? value : '';
};

const failure = (reason: string): AppShotError => new AppShotError('ENGINE_FAILED', { reason });

export class EngineSession {
  readonly #schema: Schema;
  readonly #channel: EngineChannel;

  constructor(schema: Schema, channel: EngineChannel) {
    this.#schema = schema;
    this.#channel = channel;
  }

  /**
   * Saves the tree below `options.pid`. Resolves when the engine has answered; `success` is false when it failed or when a
   * stage was refused, and then what it froze goes on. Rejects with `ENGINE_FAILED` when the engine went away.
   */
  dump(options: Fields, onStage: OnStage): Promise<EngineAnswer> {
    return this.#converse(DUMP, { ...options, notifyScripts: true }, [], onStage);
  }

  /** Restores; resolves to the PID of the tree's root, as the engine sees it. Stages that are not `tell` are answered without asking. */
  async restore(options: Fields, descriptors: readonly number[], stages: Stages): Promise<number> {
    const { tell, guard, onStage } = stages;
    const opts = { ...options, notifyScripts: guard || tell.length > 0 };
    const reply = this.#schema.encode('criu_req', { type: NOTIFY, notifySuccess: true });
    const standing = { tell, guard, reply };
    const { success, response } = await this.#converse(RESTORE, opts, descriptors, onStage, standing);
    const pid = (response['restore'] as Fields | undefined)?.['pid'];
    if (!success || typeof pid !== 'number' || pid <= 0)
      throw failure(textOf(response, 'crErrmsg') || 'it could not restore the processes');
    return pid;
  }

  /**
   * Lets the engine find out what the kernel can do, and keep it for its next start. What it then says of the kernel is not asked:
   * `appshot doctor` tells that, and outside a user namespace it ends without a word.
   */
  async probe(options: Fields, descriptors: readonly number[]): Promise<void> {
    await this.#converse(CHECK, options, descriptors, () => true).catch(() => undefined);
  }

  #converse(
    type: number,
    opts: Fields,
    descriptors: readonly number[],
    onStage: OnStage,
    standing?: StandingAnswer,
  ): Promise<EngineAnswer> {
    const { promise, resolve, reject } = Promise.withResolvers<EngineAnswer>();
    // Why a stage was refused matters more than the engine's answer to that.
    let refusal: unknown;
    const handle = async (bytes: Uint8Array | undefined): Promise<void> => {
      if (!bytes) throw failure('it ended without an answer');
      const response = this.#schema.decode('criu_resp', bytes);
      if (response['type'] !== NOTIFY) {
        if (refusal !== undefined) return reject(refusal);
        return resolve({ success: response['success'] === true, response });
      }
      const notify = response['notify'] as Fields | undefined;
      const pid = notify?.['pid'];
      const stage = textOf(notify, 'script');
      // Also a stage that throws at once is answered: without one the engine would keep what it has frozen.
      const asked = async (): Promise<boolean> =>
        onStage(stage, typeof pid === 'number' && pid > 0 ? pid : undefined);
      const accepted = await asked().catch((error: unknown) => {
        refusal = error;
        return false;
      });
      await this.#send({ type: NOTIFY, notifySuccess: accepted });
    };
    this.#channel.receive((bytes) => void handle(bytes).catch(reject));
    this.#send({ type, opts }, descriptors, standing).catch(reject);
    return promise;
  }

  async #send(
    request: Fields,
    descriptors: readonly number[] = [],
    standing?: StandingAnswer,
  ): Promise<void> {
    await this.#channel.send(this.#schema.encode('criu_req', request), descriptors, standing);
  }
}
