/** Every path below a data directory, in one place. */
import { join } from 'node:path';

export interface ApplicationPaths {
  /** What belongs to one application and goes with it. */
  readonly directory: string;
  readonly upper: string;
  readonly work: string;
  readonly shm: string;
  /** The work directory for `shm`, where that is a layer over a template's. */
  readonly shmWork: string;
  /** What it wrote to directories of this machine that lie where it has its own, and are shown all the same. */
  readonly shown: string;
  readonly log: string;
  /** The engine's logs: evidence. */
  readonly engineLog: string;
  /** What its files looked like when they were kept last, so that only those that changed are read again. */
  readonly index: string;
  /** Parts of layers that it has touched. */
  readonly touched: string;
}

export interface TemplatePaths {
  readonly directory: string;
  /** Its files, as a file system that is mounted read-only, and a place for that. */
  readonly image: string;
  readonly place: string;
  /** What all of its clones read and write, by number. */
  readonly shared: string;
}

export class Layout {
  readonly directory: string;

  constructor(directory: string) {
    this.directory = directory;
  }

  get registry(): string {
    return join(this.directory, 'registry.db');
  }

  get applications(): string {
    return join(this.directory, 'apps');
  }

  /** The files that clones have below their own, by template. */
  get templates(): string {
    return join(this.directory, 'templates');
  }

  get snapshots(): string {
    return join(this.directory, 'snapshots');
  }

  /** Memory, by digest. */
  get layers(): string {
    return join(this.directory, 'layers');
  }

  /** Contents of files, by digest. */
  get objects(): string {
    return join(this.directory, 'objects');
  }

  /** Where dumps go when memory has no room for them. */
  get staging(): string {
    return join(this.directory, 'staging');
  }

  application(aid: string): ApplicationPaths {
    const directory = join(this.applications, aid);
    const below = (name: string): string => join(directory, name);
    return {
      directory,
      upper: below('upper'),
      work: below('work'),
      shm: below('shm'),
      shmWork: below('shm-work'),
      shown: below('shown'),
      log: below('log'),
      engineLog: below('engine'),
      index: below('files.json'),
      touched: below('touched.json'),
    };
  }

  template(id: string): TemplatePaths {
    const directory = join(this.templates, id);
    const below = (name: string): string => join(directory, name);
    return { directory, image: below('files.ext4'), place: below('files'), shared: below('shared') };
  }

  layer(digest: string): string {
    return join(this.layers, digest);
  }

  /** A snapshot that is complete. */
  snapshot(id: string): string {
    return join(this.snapshots, id);
  }

  /** One that is being written: it has no name yet that anybody looks for. */
  draft(id: string): string {
    return draftIn(this.snapshots, id);
  }
}

export const draftIn = (directory: string, id: string): string => join(directory, `.${id}.draft`);
export const isDraft = (name: string): boolean => name.startsWith('.') && name.endsWith('.draft');
export const imagesIn = (directory: string): string => join(directory, 'images');
export const manifestIn = (directory: string): string => join(directory, 'manifest.json');
export const sealIn = (directory: string): string => join(directory, 'seal.json');
