/** The keys that say how an application is reached, and what the scheduler may do with it. */
import { z } from '@hono/zod-openapi';
import type { PublishRange, PublishWords, SiteWords } from '../networks.ts';
import {
  completeSite,
  expandPublish,
  NetworkName,
  PolicySpec,
  PublishSpec,
  readPorts,
  readSite,
  SiteSpec,
  splitPublish,
} from '../networks.ts';
import { ChainSpec } from '../schemas.ts';
import { durationIn, fromOnlyText, fromText, numberIn, orText, textOf } from './forms.ts';
import { Problem } from './source.ts';
import type { Path } from './source.ts';

const PORTS = '^\\d{1,5}(-\\d{1,5})?$';
const limit = 'there may be 64 at most';

const ports = fromOnlyText(readPorts, () => ({ ...textOf(PORTS), minimum: 1, maximum: 65535 }));
const { address } = PublishSpec.shape;
const protocol = PublishSpec.shape.protocol;

const SHORT = orText('^([^/]*:)?[^:/]+:[^:/]+(/[^/]*)?$');

/** One way of writing is AppShot's, the other Compose's; both have the same short form. */
const publish = z
  .array(fromText(splitPublish, z.strictObject({ port: ports, target: ports, protocol, address }), SHORT))
  .max(64, limit);

const toComposeWords = (text: string) => {
  const { port: published, address: host_ip, ...rest }: PublishWords = splitPublish(text);
  return { published, ...rest, ...(host_ip === undefined ? {} : { host_ip }) };
};
const composePorts = z
  .array(
    fromText(
      toComposeWords,
      z.strictObject({ target: ports, published: ports, protocol, host_ip: address }),
      SHORT,
    ),
  )
  .max(64, limit);

const site = fromText(
  readSite,
  z.strictObject({
    host: SiteSpec.shape.host,
    path: SiteSpec.shape.path,
    port: numberIn(SiteSpec.shape.port).optional(),
  }),
  orText('^[^:/]+(/[^:]*)?(:\\d{1,15})?$'),
);

const instances = PolicySpec.shape.instances.unwrap().shape;

/** A single address is a network of one. */
const readNetwork = (text: string): string => (text.includes('/') ? text : `${text}/32`);

const policy = z.strictObject({
  priority: numberIn(PolicySpec.shape.priority.unwrap()).optional(),
  idle: z
    .strictObject({
      freeze: durationIn(PolicySpec.shape.freeze.unwrap()).optional(),
      sleep: durationIn(ChainSpec.shape.idle.unwrap()).optional(),
    })
    .optional(),
  instances: z
    .strictObject({
      min: numberIn(instances.min.unwrap()).optional(),
      max: numberIn(instances.max),
      template: instances.template,
      concurrency: numberIn(instances.concurrency.unwrap()).optional(),
    })
    .optional(),
  ignore: z
    .array(
      fromText(readNetwork, PolicySpec.shape.ignore.unwrap().element, () =>
        textOf('^\\d{1,3}(\\.\\d{1,3}){3}(/\\d{1,2})?$'),
      ),
    )
    .max(64, limit)
    .optional(),
});

export const networkKeys = {
  network: NetworkName.optional(),
  networks: z
    .array(NetworkName)
    .length(1, 'an application belongs to one network: name it, and no other')
    .optional(),
  service: ChainSpec.shape.service,
  publish: publish.optional(),
  ports: composePorts.optional(),
  sites: z.array(site).max(64, limit).optional(),
  policy: policy.optional(),
};
export type NetworkKeys = z.infer<z.ZodObject<typeof networkKeys>>;

/** Runs `make`, whose error is what is wrong at `path`. */
const at = <T>(path: Path, make: () => T): T => {
  try {
    return make();
  } catch (error) {
    throw new Problem(path, (error as Error).message);
  }
};

/** A published port, and where the file asks for it: a range is one item there. */
interface Written {
  readonly path: Path;
  readonly spec: PublishSpec;
}

const expandAt = (key: string, ranges: readonly PublishRange[] = []): Written[] =>
  ranges.flatMap((range, index) => {
    const path = [key, index];
    return at(path, () => expandPublish(range)).map((spec) => ({ path, spec }));
  });

const toPublished = (keys: NetworkKeys): Written[] => {
  const compose = keys.ports?.map(({ published, host_ip, ...rest }) => ({
    ...rest,
    port: published,
    address: host_ip,
  }));
  const written = [...expandAt('publish', keys.publish), ...expandAt('ports', compose)];
  const excess = written[64];
  if (excess !== undefined) throw new Problem(excess.path, limit);
  return written;
};

const toSites = (sites: readonly SiteWords[] | undefined, written: readonly Written[]) =>
  sites?.map((words, index) =>
    at(['sites', index], () =>
      completeSite(
        words,
        written.map(({ spec }) => spec),
      ),
    ),
  );

const toNetwork = ({ network, networks }: NetworkKeys): string | undefined => {
  if (network !== undefined && networks !== undefined)
    throw new Problem(['networks'], 'network and networks are two names for the same: use one');
  return network ?? networks?.[0];
};

const toPolicy = ({ policy: written }: NetworkKeys): PolicySpec | undefined => {
  if (written === undefined) return undefined;
  const { idle, ...rest } = written;
  return PolicySpec.parse({ ...rest, freeze: idle?.freeze });
};

type Given<T> = { [K in keyof T]: Exclude<T[K], undefined> };

/** Without the fields that a file does not have. */
export const onlyGiven = <T extends object>(values: T): Partial<Given<T>> =>
  Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as Partial<Given<T>>;

type NetworkPart = Pick<ChainSpec, 'network' | 'service' | 'publish' | 'sites' | 'policy' | 'idle'>;

/** The part of a description that these keys make, and for a path in it the one in the file. */
export const toNetworkPart = (
  keys: NetworkKeys & { idle?: number | undefined },
): { part: NetworkPart; pathOf: (path: Path) => Path } => {
  const written = toPublished(keys);
  const sleep = keys.policy?.idle?.sleep;
  if (keys.idle !== undefined && sleep !== undefined)
    throw new Problem(['policy', 'idle', 'sleep'], 'idle says the same already: use one of them');
  const part = onlyGiven({
    network: toNetwork(keys),
    service: keys.service,
    publish: written.length === 0 ? undefined : written.map(({ spec }) => spec),
    sites: toSites(keys.sites, written),
    policy: toPolicy(keys),
    idle: keys.idle ?? sleep,
  });
  return { part, pathOf: (path) => toFilePath(path, written) };
};

const toFilePath = (path: Path, written: readonly Written[]): Path => {
  const [field, detail] = path;
  if (field === 'publish') return written[Number(detail)]?.path ?? path;
  return field === 'policy' && detail === 'freeze' ? ['policy', 'idle', 'freeze'] : path;
};
