/** Carrying out what the policy has decided. Each decision is an event first; what fails is told, and left alone for a while. */
import type { Applications, House, Templates } from '../application/index.ts';
import { AppShotError, toAppShotError } from '../common/index.ts';
import type { Doing, Member } from './member.ts';
import type { Decision } from './policy/index.ts';

/** Milliseconds before an application with which something failed is tried again. */
const RETRY_MS = 5000;
/** Milliseconds that an instance gets to end by itself when it is removed. */
const GRACE_MS = 5000;

/** Sleeps for the sake of others: a packet does not turn them back. */
const FIRM: ReadonlySet<string> = new Set(['room', 'memory-short', 'memory-pressure']);

export interface OrdersOptions {
  readonly house: Pick<House, 'roster' | 'emit' | 'log'>;
  readonly applications: Applications;
  readonly templates: Templates;
  readonly members: ReadonlyMap<string, Member>;
  /** Called when something that was under way has ended. */
  readonly done: () => void;
}

export class Orders {
  readonly #options: OrdersOptions;
  /** What is being done, by AID. */
  readonly doing = new Map<string, Doing>();

  constructor(options: OrdersOptions) {
    this.#options = options;
  }

  /** Begins, and does not wait. `template` is what the service's instances are made from. */
  carryOut(decision: Decision, template: string | null): void {
    const { kind, code, because, reason, service } = decision;
    const { house, members } = this.#options;
    const member =
      decision.aid === null
        ? [...members.values()].find((one) => one.service === service)
        : members.get(decision.aid);
    if (!member) return;
    member.decision = { at: new Date().toISOString(), what: kind, reason };
    const told = { reason: `${kind} ${code}: ${reason}`, data: { kind, code, service, ...because } };
    house.emit('decision', member.record, told);
    void this.#begin(decision, member, template)
      .catch((error: unknown) => this.#failed(decision, member, error))
      .finally(() => this.#options.done());
  }

  async #begin({ kind, code, service }: Decision, { aid }: Member, template: string | null): Promise<void> {
    const { applications, templates, house } = this.#options;
    if (kind === 'hold') return;
    if (kind === 'drain' || kind === 'undrain') return house.roster.drain(aid, kind === 'drain');
    if (kind === 'clone') {
      if (template !== null)
        await templates.clone(template, { count: 1, service, asleep: false, offline: false, made: true });
      return;
    }
    if (kind === 'freeze') await applications.freeze(aid);
    else if (kind === 'thaw') await applications.wake(aid);
    else if (kind === 'sleep')
      await this.#as('sleep', aid, applications.sleep(aid, { firm: FIRM.has(code) }));
    else if (kind === 'retire') await this.#as('retire', aid, this.#retire(aid));
    else {
      house.roster.drain(aid, false);
      await this.#as('wake', aid, kind === 'admit' ? applications.wakeAsked(aid) : applications.wake(aid));
    }
  }

  async #as(doing: Doing, aid: string, under: Promise<unknown>): Promise<void> {
    this.doing.set(aid, doing);
    await under.finally(() => this.doing.delete(aid));
  }

  async #retire(aid: string): Promise<void> {
    const { applications } = this.#options;
    const { state } = await applications.find(aid);
    if (state === 'running' || state === 'frozen') await applications.stop(aid, GRACE_MS);
    await applications.remove(aid, true);
  }

  #failed({ kind, code }: Decision, member: Member, error: unknown): void {
    // A clone is none of whom its event names.
    if (kind !== 'clone') member.blockedUntil = performance.now() + RETRY_MS;
    if (error instanceof AppShotError && error.code === 'TURNED_BACK') return;
    const reason = `${kind} ${code}: ${toAppShotError(error).message}`;
    this.#options.house.emit('decision-failed', member.record, { reason });
    // A command has come first, or it cannot be saved.
    const expected = error instanceof AppShotError && error.spec.kind === 'mistake';
    this.#options.house.log[expected ? 'info' : 'error'](
      { err: error, aid: member.aid, name: member.name, kind, code },
      'a decision of the scheduler was not carried out',
    );
  }
}
