/**
 * The names of applications on this machine: a hosts file that says what the roster does. Nobody waits for it: of the changes of a moment
 * the last is written, and a change that moves no name touches no file.
 */
import { hostname } from 'node:os';
import type { Logger } from '../common/index.ts';
import { outsideNames } from '../names/index.ts';
import type { HostsEntry, HostsFile } from '../names/index.ts';
import type { ApplicationRecord } from '../registry/index.ts';
import { namedInstance } from './naming.ts';

/** How long further changes are waited for, in ms. */
const MOMENT = 50;

export interface OutsideOptions {
  readonly file: Pick<HostsFile, 'write'>;
  readonly instances: () => readonly ApplicationRecord[];
  readonly log: Logger;
}

export class OutsideNames {
  readonly #options: OutsideOptions;
  /** What the file says; undefined when nobody knows. */
  #told: string | undefined;
  #timer: NodeJS.Timeout | undefined;
  #writing: Promise<void> = Promise.resolve();
  #failure: string | undefined;

  constructor(options: OutsideOptions) {
    this.#options = options;
  }

  /** Something has changed, or the daemon begins. */
  tellSoon(): void {
    this.#timer ??= setTimeout(() => this.#tell(), MOMENT);
  }

  /** Resolves when the file has the last names, or could not be given them. Applications outlive a daemon, and so do their names. */
  async close(): Promise<void> {
    if (this.#timer) {
      clearTimeout(this.#timer);
      this.#tell();
    }
    await this.#writing;
  }

  #entries(): HostsEntry[] {
    // What these mean is never an application's to say.
    const machine = hostname().toLowerCase();
    const taken = ['localhost', machine, machine.split('.')[0] ?? ''];
    return this.#options.instances().map((record) => ({
      address: record.address,
      names: outsideNames(namedInstance(record), taken),
    }));
  }

  #tell(): void {
    this.#timer = undefined;
    const entries = this.#entries();
    const text = JSON.stringify(entries);
    if (text === this.#told) return;
    this.#told = text;
    // One after the other: the last is what stays.
    this.#writing = this.#writing
      .then(() => this.#options.file.write(entries))
      .then(
        () => {
          this.#failure = undefined;
        },
        (error: unknown) => this.#fail(error),
      );
  }

  /** The next change tries again. A fault that stays is told of once. */
  #fail(error: unknown): void {
    this.#told = undefined;
    const failure = String(error);
    if (failure === this.#failure) return;
    this.#failure = failure;
    this.#options.log.error({ err: error }, 'the hosts file cannot be changed: names lead nowhere outside');
  }
}
