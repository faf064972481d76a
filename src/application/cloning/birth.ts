/**
 * The first wake of a clone (figure 9): everything is as in any other wake, and before a process runs its memory is told who it is now.
 * Once it runs, and before a packet reaches it, the hooks of its template run.
 */
import { copyFileSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { randomBytes } from 'node:crypto';
import type { UnseenVariable } from '../../api/index.ts';
import { decodeImage, encodeImage, moveAddress, movePaths } from '../../criu/index.ts';
import type { Environment } from '../../environments/index.ts';
import { identityVariables } from '../../harness/index.ts';
import type { ApplicationRecord } from '../../registry/index.ts';
import { applyPokes, pokesFor } from '../../templates/index.ts';
import type { Hook, Places, Poke, TemplateFacts } from '../../templates/index.ts';
import type { Manifest } from '../../snapshots/index.ts';
import { scratchFor } from '../closing.ts';
import type { House, Work } from '../context.ts';
import { announce } from '../announce.ts';
import { runHooks } from '../hooks.ts';
import { generationOf, identityOf, placesOf } from '../identity.ts';
import { systemPids } from '../processes.ts';
import { templateIn } from './facts.ts';

const FILES = 'files.img';

/** What a clone needs beyond a wake. */
export interface Birth {
  readonly pokes: readonly Poke[];
  /** Variables that a process keeps as they were. */
  readonly unseen: readonly UnseenVariable[];
  readonly hooks: readonly Hook[];
  /** Where links and redirections led for what the template was made from. */
  readonly previous: Places;
}

const pokesOf = (record: ApplicationRecord, { memory }: TemplateFacts): Pick<Birth, 'pokes' | 'unseen'> => {
  const identity = identityOf(record);
  const { pokes, missing } = pokesFor(memory, {
    variables: { ...identityVariables(identity), ...identity.variables },
    hostname: record.hostname,
    generation: generationOf(record),
    random: randomBytes,
  });
  return { pokes, unseen: missing };
};

/** From where links led for what the template was made from, to where they lead now. */
const movesOf = (
  before: Places,
  { data }: Pick<ApplicationRecord, 'data'>,
): { from: string; to: string }[] => {
  const { links } = placesOf({ data }) ?? { links: [] };
  const now = new Map(links.map(({ path, target }) => [path, target]));
  return before.links
    .map(({ path, target }) => ({ from: target, to: now.get(path) ?? target }))
    .filter(({ from, to }) => from !== to);
};

/** Sockets that are bound to the template's address follow the clone's, and files that were opened through a link are the clone's. */
export const personaliseFiles = (
  { schema }: House,
  images: string,
  record: ApplicationRecord,
  { application }: Manifest,
  { places }: TemplateFacts,
): Uint8Array | undefined => {
  const files = decodeImage(schema, FILES, readFileSync(join(images, FILES)));
  const moved = movePaths(files, movesOf(places, record));
  const changed = moved + moveAddress(files, application.address, record.address);
  return changed === 0 ? undefined : encodeImage(schema, files);
};

/** Images of this wake alone, where the template's cannot be taken as they are. */
const personalise = (work: Work, manifest: Manifest, facts: TemplateFacts): void => {
  const { house, record, images = '' } = work;
  if (!facts.bound && movesOf(facts.places, record).length === 0) return;
  const edited = personaliseFiles(house, images, record, manifest, facts);
  if (!edited) return;
  const scratch = scratchFor(work, manifest.id);
  if (images !== scratch)
    for (const name of readdirSync(images))
      if (name !== FILES) copyFileSync(join(images, name), join(scratch, name));
  writeFileSync(join(scratch, FILES), edited, { mode: 0o600 });
  work.images = scratch;
};

/** Sees whether a wake is the first one of a clone, and prepares it then. */
export const prepareBirth = (work: Work): void => {
  const { record, manifest } = work;
  const template = manifest && templateIn(manifest);
  if (!template) return;
  const { facts, rules } = template;
  if (manifest.kind === 'template') personalise(work, manifest, facts);
  work.birth = { ...pokesOf(record, facts), hooks: rules.hooks, previous: facts.places };
};

/** While its processes are there and none of them runs. */
export const pokeMemory = ({ house, birth }: Work, environment: Environment): void => {
  if (!birth || birth.pokes.length === 0) return;
  const pids = systemPids(house, environment);
  applyPokes(birth.pokes, (pid) => {
    const found = pids.get(pid);
    if (found === undefined) throw new Error(`the clone has no process ${pid}`);
    return found;
  });
};

/** Once it runs, off the bridge. Fails with `HOOK_FAILED`. */
export const greet = async ({ house, record, birth }: Work, environment: Environment): Promise<void> => {
  if (birth) await runHooks(house, record, environment, birth.hooks);
};

/** Tells who watches its identity that it is another one. */
export const proclaim = ({ house, record, birth }: Work, environment: Environment): void => {
  if (!birth) return;
  try {
    announce(environment);
  } catch (err) {
    // The memory and the file have it; only the event is missing.
    house.log.warn({ err, aid: record.aid }, 'a clone could not be told that it is one');
  }
};
