/** Conversations with an engine that says what the test lets it say. */
import { describe, expect, it, vi } from 'vitest';
import { EngineSession } from '../../src/criu/index.ts';
import type { EngineChannel, Schema, Stages } from '../../src/criu/index.ts';
import type { StandingAnswer } from '../../src/criu/session.ts';
import { schemas } from './criu-schema.ts';

const [DUMP, RESTORE, CHECK, NOTIFY] = [1, 2, 3, 6];
const OPTIONS = { imagesDirFd: 3, pid: 1000 };

/** The engine's side of a channel. */
class Script implements EngineChannel {
  readonly #schema: Schema;
  readonly sent: Record<string, unknown>[] = [];
  readonly descriptors: (readonly number[])[] = [];
  readonly standing: (StandingAnswer | undefined)[] = [];
  #handler: (message: Uint8Array | undefined) => void = () => undefined;
  #heard = Promise.withResolvers<void>();

  constructor(schema: Schema) {
    this.#schema = schema;
  }

  send(message: Uint8Array, descriptors: readonly number[] = [], standing?: StandingAnswer): void {
    this.sent.push(this.#schema.decode('criu_req', message));
    this.standing.push(standing);
    this.descriptors.push(descriptors);
    this.#heard.resolve();
  }

  receive(handler: (message: Uint8Array | undefined) => void): void {
    this.#handler = handler;
  }

  say(fields: Record<string, unknown>): void {
    this.#handler(this.#schema.encode('criu_resp', fields));
  }

  sayBytes(bytes: Uint8Array | undefined): void {
    this.#handler(bytes);
  }

  /** Tells a stage and returns the answer to it. */
  async notify(script: string, pid?: number): Promise<unknown> {
    this.#heard = Promise.withResolvers();
    this.say({ type: NOTIFY, success: true, notify: { script, ...(pid ? { pid } : {}) } });
    await this.#heard.promise;
    const { type, notifySuccess } = this.sent.at(-1) ?? {};
    if (type !== NOTIFY) throw new Error(`the stage ${script} was not answered`);
    return notifySuccess;
  }
}

const engineFailed = (reason: string) =>
  expect.objectContaining({ code: 'ENGINE_FAILED', message: `CRIU failed: ${reason}` }) as Error;
const accept = (): boolean => true;
/** Nobody asks about stages. */
const NONE: Stages = { tell: [], guard: false, onStage: accept };

describe.each(schemas)('a conversation, by %s', (_, schema) => {
  const open = (): { script: Script; session: EngineSession } => {
    const script = new Script(schema);
    return { script, session: new EngineSession(schema, script) };
  };

  describe('to dump', () => {
    it('asks, answers each stage in order, and resolves with the answer', async () => {
      const { script, session } = open();
      const stages: unknown[] = [];
      const answer = session.dump(OPTIONS, (stage, pid) => stages.push([stage, pid]) > 0);
      expect(script.sent).toMatchObject([{ type: DUMP, opts: { ...OPTIONS, notifyScripts: true } }]);
      expect(await script.notify('pre-dump')).toBe(true);
      expect(await script.notify('post-dump', 1000)).toBe(true);
      script.say({ type: DUMP, success: true });
      expect(await answer).toMatchObject({ success: true, response: { type: DUMP } });
      expect(stages).toEqual([
        ['pre-dump', undefined],
        ['post-dump', 1000],
      ]);
      expect(script.sent).toHaveLength(3);
    });

    it('leaves a stage unanswered until it is decided', async () => {
      const { script, session } = open();
      const verdict = Promise.withResolvers<boolean>();
      const answer = session.dump(OPTIONS, () => verdict.promise);
      const told = script.notify('post-dump');
      await new Promise(setImmediate);
      expect(script.sent).toHaveLength(1);
      verdict.resolve(false);
      expect(await told).toBe(false);
      script.say({ type: DUMP, success: false });
      expect(await answer).toMatchObject({ success: false });
    });

    it.each([
      ['rejects', () => Promise.reject(new Error('the disk is full'))],
      [
        'throws at once',
        () => {
          throw new Error('the disk is full');
        },
      ],
    ])(
      'refuses a stage that %s, and rejects for that reason when the engine has undone it',
      async (__, stage) => {
        const { script, session } = open();
        const settled = vi.fn<() => void>();
        const answer = session.dump(OPTIONS, stage);
        answer.then(settled, settled);
        expect(await script.notify('pre-dump')).toBe(false);
        await new Promise(setImmediate);
        expect(settled).not.toHaveBeenCalled();
        script.say({ type: DUMP, success: false });
        await expect(answer).rejects.toThrow('the disk is full');
      },
    );

    it('rejects when the engine ends without an answer', async () => {
      const { script, session } = open();
      const answer = session.dump(OPTIONS, accept);
      script.sayBytes(undefined);
      await expect(answer).rejects.toThrow(engineFailed('it ended without an answer'));
    });

    it('rejects when the engine says what is no message', async () => {
      const { script, session } = open();
      const answer = session.dump(OPTIONS, accept);
      script.sayBytes(Buffer.from('ffffffffff', 'hex'));
      await expect(answer).rejects.toThrow(/./);
    });

    it('rejects when the engine cannot be asked', async () => {
      const { script } = open();
      const deaf: EngineChannel = {
        send: () => Promise.reject(new Error('the pipe is closed')),
        receive: (handler) => script.receive(handler),
      };
      await expect(new EngineSession(schema, deaf).dump(OPTIONS, accept)).rejects.toThrow(
        'the pipe is closed',
      );
    });
  });

  describe('to restore', () => {
    it("passes descriptors, and resolves to the root's PID", async () => {
      const { script, session } = open();
      const answer = session.restore({ imagesDirFd: 20 }, [5, 6], NONE);
      expect(script.sent).toMatchObject([{ type: RESTORE, opts: { imagesDirFd: 20, notifyScripts: false } }]);
      expect(script.descriptors).toEqual([[5, 6]]);
      script.say({ type: RESTORE, success: true, restore: { pid: 1000 } });
      expect(await answer).toBe(1000);
    });

    it('tells stages to who asks', async () => {
      const { script, session } = open();
      const answer = session.restore({ imagesDirFd: 20 }, [], {
        tell: ['setup-namespaces', 'post-restore'],
        guard: false,
        onStage: (stage, pid) => stage === 'setup-namespaces' && pid === 7,
      });
      expect(script.sent).toMatchObject([{ opts: { notifyScripts: true } }]);
      expect(await script.notify('setup-namespaces', 7)).toBe(true);
      expect(await script.notify('post-restore', 7)).toBe(false);
      script.say({ type: RESTORE, success: true, restore: { pid: 7 } });
      expect(await answer).toBe(7);
    });

    it('leaves an answer to the stages that nobody wants to be told of', async () => {
      const { script, session } = open();
      const answer = session.restore({ imagesDirFd: 20 }, [], { tell: [], guard: true, onStage: accept });
      expect(script.sent).toMatchObject([{ opts: { notifyScripts: true } }]);
      const [standing] = script.standing;
      expect(standing).toMatchObject({ tell: [], guard: true });
      const reply = schema.decode('criu_req', standing?.reply ?? Buffer.alloc(0));
      expect(reply).toMatchObject({ type: NOTIFY, notifySuccess: true });
      script.say({ type: RESTORE, success: true, restore: { pid: 1000 } });
      expect(await answer).toBe(1000);
    });

    it.each([
      ['without success', { success: false }, 'it could not restore the processes'],
      ['with a reason', { success: false, crErrmsg: 'PID mismatch' }, 'PID mismatch'],
      [
        'with a PID all the same',
        { success: false, restore: { pid: 7 } },
        'it could not restore the processes',
      ],
      ['without a PID', { success: true }, 'it could not restore the processes'],
      ['with no process', { success: true, restore: { pid: 0 } }, 'it could not restore the processes'],
    ])('rejects an answer %s', async (__, fields, reason) => {
      const { script, session } = open();
      const answer = session.restore({ imagesDirFd: 20 }, [], NONE);
      script.say({ type: RESTORE, ...fields });
      await expect(answer).rejects.toThrow(engineFailed(reason));
    });
  });

  it.each([
    ['answers', (script: Script) => script.say({ type: CHECK, success: false })],
    ['ends', (script: Script) => script.sayBytes(undefined)],
  ])('to probe ends well when the engine %s', async (__, speak) => {
    const { script, session } = open();
    const probed = session.probe({ imagesDirFd: 20 }, [5]);
    expect(script.sent).toMatchObject([{ type: CHECK }]);
    speak(script);
    await expect(probed).resolves.toBeUndefined();
  });
});
