/** All templates of a daemon: made from applications, looked at, cloned, removed. */
import type {
  CloneRequest,
  CloneView,
  TemplateDetail,
  TemplateRequest,
  TemplateView,
} from '../../api/index.ts';
import { AppShotError } from '../../common/index.ts';
import type { ApplicationRecord, TemplateRecord } from '../../registry/index.ts';
import { orNoSpace } from '../../snapshots/index.ts';
import type { Applications } from '../applications.ts';
import type { House } from '../context.ts';
import { originOf } from '../identity.ts';
import { bringUpAll, mouldOf, register } from './clone.ts';
import type { Making, Mould } from './clone.ts';
import { createTemplate, removeTemplateFiles } from './create.ts';
import { replicate } from './replicate.ts';

/** In ms. */
const FLUSH_AFTER = 200;
/** Names of clones that a message lists. */
const LISTED = 3;

export class Templates {
  readonly #house: House;
  readonly #applications: Applications;

  constructor(house: House, applications: Applications) {
    this.#house = house;
    this.#applications = applications;
  }

  /** Fails with `TEMPLATE_NOT_FOUND`. */
  async find(nameOrId: string): Promise<TemplateRecord> {
    const found = await this.#house.registry.findTemplate(nameOrId);
    if (found) return found;
    throw new AppShotError('TEMPLATE_NOT_FOUND', { name: nameOrId });
  }

  async #clonesOf(id: string): Promise<ApplicationRecord[]> {
    return (await this.#house.registry.list()).filter((record) => originOf(record)?.id === id);
  }

  async viewOf(template: TemplateRecord): Promise<TemplateView> {
    return this.#viewOf(await mouldOf(this.#house, template));
  }

  async #viewOf({ template, manifest, facts }: Mould): Promise<TemplateView> {
    const { layers, copied } = manifest.memory;
    return {
      id: template.id,
      name: template.name,
      createdAt: template.createdAt,
      from: facts.from,
      memory: { layered: layers.reduce((sum, { bytes }) => sum + bytes, 0), copied },
      clones: (await this.#clonesOf(template.id)).length,
    };
  }

  /** Oldest first. */
  async list(): Promise<TemplateView[]> {
    const templates = await this.#house.registry.listTemplates();
    return Promise.all(templates.map((one) => this.viewOf(one)));
  }

  async inspect(nameOrId: string): Promise<TemplateDetail> {
    const mould = await mouldOf(this.#house, await this.find(nameOrId));
    const { format, rules, resources } = mould.facts;
    return { ...(await this.#viewOf(mould)), snapshot: mould.manifest.id, format, rules, resources };
  }

  async create(request: TemplateRequest): Promise<TemplateView> {
    const made = createTemplate(this.#house, this.#applications, request);
    return this.viewOf(await this.#nameFullDisk(made, 'making a template'));
  }

  /** Anything that is written can find the disk full. */
  async #nameFullDisk<T>(work: Promise<T>, step: string): Promise<T> {
    try {
      return await work;
    } catch (error) {
      throw orNoSpace(error, this.#house.layout.directory, step);
    }
  }

  /** Fails with `TEMPLATE_IN_USE` while clones have its files below their own. */
  async remove(nameOrId: string): Promise<void> {
    const { id } = await this.find(nameOrId);
    await this.#house.lock.run(id, 'removing a template', async () => {
      const { name, snapshot } = await this.find(id);
      const clones = (await this.#clonesOf(id)).filter((one) => originOf(one)?.tree !== null);
      if (clones.length > 0) {
        const listed = clones.slice(0, LISTED).map((one) => one.name);
        const more = clones.length > LISTED ? ` and ${clones.length - LISTED} more` : '';
        throw new AppShotError('TEMPLATE_IN_USE', { name, clones: listed.join(', ') + more });
      }
      await this.#house.registry.removeTemplate(id);
      await removeTemplateFiles(this.#house, id, snapshot);
      this.#house.keeper.sweepSoon();
    });
  }

  /**
   * New applications from a template (figure 9); they run unless they are to sleep. All of them, or none. Fails with
   * `TEMPLATE_NOT_FOUND`, `NETWORK_NOT_FOUND`, `NAME_TAKEN`, `ADDRESSES_EXHAUSTED`, `NO_SPACE`, `HOOK_FAILED`, and as a wake does.
   */
  clone(nameOrId: string, request: CloneRequest & Making): Promise<CloneView[]> {
    return this.#nameFullDisk(this.#clone(nameOrId, request), 'cloning');
  }

  async #clone(nameOrId: string, request: CloneRequest & Making): Promise<CloneView[]> {
    const { id } = await this.find(nameOrId);
    const house = this.#house;
    // The template is there until its clones are registered, and from then on they keep it.
    const { mould, registered } = await house.lock.run(id, 'cloning', async () => {
      const found = await mouldOf(house, await this.find(id));
      return { mould: found, registered: await register(house, found, request) };
    });
    const bringUp = request.offline ? replicate : bringUpAll;
    const clones = await bringUp(house, this.#applications, mould, registered, request);
    // What runs would not outlive a power cut; what sleeps must.
    if (request.offline || request.asleep) await house.registry.flush();
    else this.#flushSoon();
    return clones;
  }

  /** A disk need not be waited for before the first packet. */
  #flushSoon(): void {
    const flush = (): void =>
      void this.#house.registry
        .flush()
        .catch((err: unknown) => this.#house.log.error({ err }, 'clones are not on disk yet'));
    setTimeout(flush, FLUSH_AFTER).unref();
  }
}
