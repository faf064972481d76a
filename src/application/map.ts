/**
 * What applications call their resources, and what this machine calls them, at the moment of the question: of what runs from the kernel,
 * of what sleeps from its snapshot, and of both from the registry.
 */
import { readFileSync, readdirSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import type { FoundTranslation, MapView, TranslationType, TypedId } from '../api/index.ts';
import { AppShotError } from '../common/index.ts';
import { decodeImage, imageKind } from '../criu/index.ts';
import { sharedRedirects } from '../environments/index.ts';
import type { Environment, LayersBeneath } from '../environments/index.ts';
import { macOf } from '../network/index.ts';
import type { ApplicationRecord, SnapshotRecord } from '../registry/index.ts';
import {
  Places,
  placesOf,
  readKernelView,
  savedTablesOf,
  tablesOf,
  toSystem,
  toVirtual,
} from '../resources/index.ts';
import type { Registered, TranslationTables } from '../resources/index.ts';
import { inputOf } from './check.ts';
import type { House } from './context.ts';
import { originOf, placesOf as ruledPlaces, sharedOf, withFilesBeneath } from './identity.ts';
import { shownOf } from './provision.ts';
import { networkOf } from './roster.ts';
import { reachableOf } from './sleepers.ts';

/** The daemon holds a template's files by a descriptor; others find them through it. */
const outside = ({ upper, shm, shown }: LayersBeneath): LayersBeneath => {
  const of = (path: string): string => path.replace(/^\/proc\/self\//, `/proc/${process.pid}/`);
  return { upper: of(upper), shm: of(shm), shown: of(shown) };
};

const filesOf = (house: House, record: ApplicationRecord): Pick<Registered, 'places' | 'redirections'> => {
  const origin = originOf(record);
  const redirections = [...sharedRedirects(sharedOf(record)), ...(ruledPlaces(record)?.redirects ?? [])];
  const places = withFilesBeneath(house, record, (beneath) =>
    placesOf({
      files: house.layout.application(record.aid),
      beneath: beneath && outside(beneath),
      volumes: record.spec.volumes,
      shown: shownOf(record.data),
      shared: origin && house.layout.template(origin.id).shared,
    }),
  );
  return { places: new Places(places, redirections), redirections };
};

const registeredOf = (
  house: House,
  record: ApplicationRecord,
  environment: Environment | undefined,
): Registered => ({
  node: hostname(),
  address: record.address,
  mac: macOf(record.address),
  hostname: record.hostname,
  network: networkOf(record),
  link: environment && { index: environment.link, name: environment.linkName },
  published: record.spec.publish ?? [],
  volumes: record.spec.volumes.map(({ target }) => target),
  links: ruledPlaces(record)?.links ?? [],
  ...filesOf(house, record),
});

/** All of a dump but its memory, and what its manifest says. */
const savedIn = (house: House, snapshot: SnapshotRecord) => {
  const directory = house.store.images(snapshot);
  const { application, clocks } = house.store.read(snapshot);
  const images = readdirSync(directory)
    .filter((name) => imageKind(name) !== undefined && !name.startsWith('pagemap-'))
    .map((name) => decodeImage(house.schema, name, readFileSync(join(directory, name))));
  return { images, address: application.address, clocks };
};

interface Mapped {
  readonly registered: Registered;
  readonly tables: TranslationTables;
  readonly snapshot: string | null;
}

const LIVE: readonly ApplicationRecord['state'][] = [
  'running',
  'snapshotting',
  'freezing',
  'frozen',
  'thawing',
];

/** `brief` leaves the images alone: what they tell of is not on the machine. */
const tablesFor = async (
  house: House,
  record: ApplicationRecord,
  environment: Environment | undefined,
  { types, brief = false }: { types: readonly TranslationType[] | undefined; brief?: boolean },
): Promise<Mapped> => {
  if (environment && LIVE.includes(record.state)) {
    const registered = registeredOf(house, record, environment);
    const view = readKernelView(inputOf(house, record, environment));
    return { registered, tables: tablesOf(view, registered, types), snapshot: null };
  }
  const registered = registeredOf(house, record, undefined);
  const known = record.snapshot === null ? undefined : await house.registry.getSnapshot(record.snapshot);
  const { listening = [] } = reachableOf(record) ?? {};
  const saved = known && !brief ? savedIn(house, known) : { images: [], address: record.address, clocks: {} };
  const tables = savedTablesOf({ ...saved, listening }, registered, types);
  return { registered, tables, snapshot: known?.id ?? null };
};

/** Of one application: all tables, one, or one ID. Some milliseconds. Fails with `ENVIRONMENT_FAILED` when it ends meanwhile. */
export const mapApplication = async (
  house: House,
  record: ApplicationRecord,
  environment: Environment | undefined,
  { type, virtual }: { readonly type?: TranslationType | undefined; readonly virtual?: TypedId | undefined },
): Promise<MapView> => {
  const wanted = virtual?.type ?? type;
  const types = wanted === undefined ? undefined : [wanted];
  const { registered, tables, snapshot } = await tablesFor(house, record, environment, { types });
  return {
    aid: record.aid,
    name: record.name,
    state: record.state,
    snapshot,
    translations: virtual === undefined ? tables.entries : toSystem(tables, registered, virtual),
  };
};

/** What has just ended has nothing any more. */
const unlessEnded = (error: unknown): undefined => {
  if (error instanceof AppShotError && error.code === 'ENVIRONMENT_FAILED') return undefined;
  throw error;
};

/** Who has something of this machine: asked of one application after the other, and others are served in between. */
export const findSystem = async (
  house: House,
  applications: {
    list(): Promise<readonly ApplicationRecord[]>;
    environment(aid: string): Environment | undefined;
  },
  system: TypedId,
): Promise<FoundTranslation[]> => {
  const found: FoundTranslation[] = [];
  for (const record of await applications.list()) {
    const environment = applications.environment(record.aid);
    const mapped = await tablesFor(house, record, environment, { types: [system.type], brief: true }).catch(
      unlessEnded,
    );
    const translations = mapped ? toVirtual(mapped.tables, mapped.registered, system) : [];
    found.push(...translations.map((one) => ({ ...one, aid: record.aid, name: record.name })));
    await setImmediate();
  }
  return found;
};
