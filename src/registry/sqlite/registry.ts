/**
 * The registry of one machine, in one SQLite file. SQLite's calls are synchronous and take some 20 microseconds, a durable one a
 * flush more; the methods are asynchronous because a registry on a farm is.
 */
import { DEFAULT_NETWORK } from '../../api/index.ts';
import { AppShotError, newId } from '../../common/index.ts';
import type {
  ApplicationChange,
  ApplicationRecord,
  Registration,
  Registry,
  SnapshotRecord,
  TemplateRecord,
} from '../registry.ts';
import { addressTable } from './addresses.ts';
import { applicationTable } from './applications.ts';
import { environmentTable } from './environments.ts';
import { networkTable } from './networks.ts';
import { snapshotTable } from './snapshots.ts';
import { openStore } from './store.ts';
import type { Store } from './store.ts';
import { templateTable } from './templates.ts';

/** Names of applications that a message lists. */
const LISTED = 3;

const openTables = (store: Store) => ({
  applications: applicationTable(store),
  addresses: addressTable(store),
  snapshots: snapshotTable(store),
  environments: environmentTable(store),
  templates: templateTable(store),
  networks: networkTable(store),
});
type Tables = ReturnType<typeof openTables>;

const register = (
  { applications, addresses, networks }: Tables,
  registration: Registration,
): ApplicationRecord => {
  const { aid = newId(), name, hostname, spec, state = 'registered', change = {} } = registration;
  applications.checkFree(aid, name);
  // It may have been removed since its addresses were looked up.
  const { network = DEFAULT_NETWORK } = spec;
  if (network !== DEFAULT_NETWORK && !networks.find(network))
    throw new AppShotError('NETWORK_NOT_FOUND', { name: network });
  const address = addresses.allocate(aid, registration);
  return applications.insert({ aid, name, state, spec, address, hostname }, change);
};

const addSnapshot = ({ applications, snapshots }: Tables, snapshot: SnapshotRecord): void => {
  if (applications.get(snapshot.aid) === undefined) {
    throw new AppShotError('APP_NOT_FOUND', { name: snapshot.aid });
  }
  snapshots.add(snapshot);
};

const commitSleep = (
  { applications, snapshots }: Tables,
  snapshot: SnapshotRecord,
  epoch: number,
  change: ApplicationChange,
): ApplicationRecord | undefined => {
  const row = applications.get(snapshot.aid);
  if (row?.epoch !== epoch) return undefined;
  snapshots.add(snapshot);
  const onSnapshot = { ...change, snapshot: snapshot.id };
  return applications.transition(row.aid, { states: [row.state] }, 'asleep', onSnapshot);
};

/** Forgets an AID, its address and its snapshots. */
const remove = ({ applications, addresses, snapshots }: Tables, aid: string): boolean => {
  addresses.release(aid);
  const found = applications.remove(aid);
  if (found) snapshots.removeOf(aid);
  return found;
};

const addTemplate = (
  { templates, snapshots }: Tables,
  template: TemplateRecord,
  snapshot: SnapshotRecord,
): void => {
  templates.add(template);
  snapshots.add(snapshot);
};

const removeTemplate = ({ templates, snapshots }: Tables, id: string): boolean => {
  const found = templates.remove(id);
  if (found) snapshots.removeOf(id);
  return found;
};

/** Where applications are, whatever state they are in, it stays. */
const removeNetwork = ({ networks, applications }: Tables, name: string): boolean => {
  const inside = applications.list().filter(({ spec }) => spec.network === name);
  if (inside.length > 0) {
    const listed = inside.slice(0, LISTED).map((one) => one.name);
    const more = inside.length > LISTED ? ` and ${inside.length - LISTED} more` : '';
    throw new AppShotError('NETWORK_IN_USE', { name, applications: listed.join(', ') + more });
  }
  return networks.remove(name);
};

/** Opens or creates the file. Fails with REGISTRY_CORRUPT, REGISTRY_UNUSABLE or NO_SPACE. */
export const openSqliteRegistry = async (path: string): Promise<Registry> => {
  const store = openStore(path);
  const tables = openTables(store);
  const { applications, addresses, snapshots, environments, templates, networks } = tables;
  const durably = async <T>(action: () => T): Promise<T> => store.write('FULL', action);
  const quickly = async <T>(action: () => T): Promise<T> => store.write('NORMAL', action);
  const read = async <T>(action: () => T): Promise<T> => store.read(action);
  return {
    registerApplication: (registration) => durably(() => register(tables, registration)),
    registerApplications: (registrations) =>
      quickly(() => registrations.map((registration) => register(tables, registration))),
    flush: () => store.flush(),
    transition: (aid, expected, state, change = {}) =>
      quickly(() => applications.transition(aid, expected, state, change)),
    commitSleep: (aid, epoch, snapshot, change = {}) =>
      quickly(() => commitSleep(tables, { ...snapshot, aid }, epoch, change)),
    update: (aid, change) => quickly(() => applications.update(aid, change)),
    find: (nameOrAid) => read(() => applications.find(nameOrAid)),
    list: () => read(() => applications.list()),
    remove: (aid) => durably(() => remove(tables, aid)),

    allocateAddress: (request) => durably(() => addresses.allocate(request.aid, request)),
    releaseAddress: (aid) =>
      durably(() => {
        if (applications.get(aid) === undefined) addresses.release(aid);
      }),

    addSnapshot: (snapshot) => quickly(() => addSnapshot(tables, snapshot)),
    getSnapshot: (id) => read(() => snapshots.get(id)),
    listSnapshots: (aid) => read(() => snapshots.list(aid)),
    updateSnapshot: (id, change) => durably(() => snapshots.update(id, change)),
    removeSnapshot: (id) => durably(() => snapshots.remove(id)),

    addTemplate: (template, snapshot) => durably(() => addTemplate(tables, template, snapshot)),
    findTemplate: (nameOrId) => read(() => templates.find(nameOrId)),
    listTemplates: () => read(() => templates.list()),
    countInstances: (id, count) => quickly(() => templates.count(id, count)),
    removeTemplate: (id) => durably(() => removeTemplate(tables, id)),

    addNetwork: (network) => durably(() => networks.add(network)),
    listNetworks: () => read(() => networks.list()),
    removeNetwork: (name) => durably(() => removeNetwork(tables, name)),

    addEnvironment: (environment) => quickly(() => environments.add(environment)),
    listEnvironments: () => read(() => environments.list()),
    removeEnvironment: (id) => quickly(() => environments.remove(id)),

    close: async () => store.close(),
  };
};
