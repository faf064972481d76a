/**
 * The configuration of HAProxy, as text. Only numbers, addresses and names that were checked or made here go into it; paths of directories
 * are quoted. Paths that are ours are relative: HAProxy is started in its own directory, and sockets have short names.
 *
 * Sleepers decide much of it. A connection to one stands until it is awake, so connecting takes as long as the kernel tries, and nothing may
 * touch a server without a request: no health checks, no TCP keep-alive, and idle connections are closed while the server is still
 * awake, since a close is a packet too.
 */
import { isIP } from 'node:net';
import { AppShotError } from '../common/index.ts';
import { MAP, slotName } from './changes.ts';
import type { Content } from './changes.ts';
import type { GatewayPlan, Listen } from './plan.ts';
import type { Pool } from './pools.ts';
import { weightOf } from './pools.ts';

export const MASTER_SOCKET = 'master.sock';
export const WORKER_SOCKET = 'worker.sock';
/** Keeps the times of the last answers. */
export const ANSWERS = 'answers';
/** Knows how many connections at each server have become WebSockets. */
export const TUNNELS = 'tunnels';
/** What workers are shut into. */
export const EMPTY = 'empty';

/** Everything of a configuration but the pools. */
export interface Frame {
  /** The run directory, whole. */
  readonly directory: string;
  /** Whom the workers become; undefined keeps them root. */
  readonly user: string | undefined;
  readonly plan: Omit<GatewayPlan, 'sites'>;
}

/** Strong quotes take everything but themselves and line ends. Throws `GATEWAY_FAILED` for a path with a control character. */
const quoted = (path: string): string => {
  if (/\p{Cc}/u.test(path))
    throw new AppShotError('GATEWAY_FAILED', {
      reason: `the path ${JSON.stringify(path)} holds a control character`,
    });
  return `'${path.replaceAll("'", String.raw`'\''`)}'`;
};

const GLOBAL = ({ directory, user }: Frame): string[] => [
  'global',
  // Twice this many connections at most; HAProxy asks for no more than the machine's limit.
  '  fd-hard-limit 40000',
  // Old workers end with their last connection: WebSockets and downloads have this long after a reload.
  '  hard-stop-after 1h',
  '  mworker-max-reloads 50',
  ...(user === undefined ? [] : [`  user ${user}`, `  group ${user}`]),
  `  chroot ${quoted(`${directory}/${EMPTY}`)}`,
  `  stats socket unix@${WORKER_SOCKET} mode 600 level admin expose-fd listeners`,
  '  ssl-default-bind-options ssl-min-ver TLSv1.2',
];

/**
 * What the averages of HAProxy's own counters cannot tell: answers one by one, several thousand of them; and the connections that are WebSockets,
 * which count as requests as long as they are open.
 */
const MEASUREMENTS = [
  `ring ${ANSWERS}`,
  '  format raw',
  '  maxlen 128',
  '  size 262144',
  `backend ${TUNNELS}`,
  '  stick-table type string len 64 size 100k expire 1h store conn_cur',
];

const page = (status: number, line: string): string =>
  `  http-error status ${status} content-type text/plain string "${line}\\n"`;

const DEFAULTS = [
  'defaults',
  '  mode http',
  '  timeout connect 60s',
  '  timeout client 60s',
  '  timeout client-fin 30s',
  '  timeout http-request 10s',
  '  timeout http-keep-alive 60s',
  '  timeout queue 60s',
  '  timeout server 5m',
  // A WebSocket may be silent for as long as its application sleeps.
  '  timeout tunnel 24h',
  '  retries 2',
  '  option redispatch 1',
  // An instance that is removed breaks off what it was asked; another one is asked what may be asked twice.
  '  retry-on conn-failure empty-response',
  // Told at the head of each answer, not at its end.
  '  option logasap',
  // At a reload a client's idle connection gets one more answer, with "close", instead of being closed under its next request.
  '  option idle-close-on-response',
  page(400, 'the request is not valid HTTP'),
  page(408, 'the request did not come whole in time'),
  page(502, 'the instance of this site broke off its answer'),
  page(503, 'no instance of this site answers'),
  page(504, 'the instance of this site took too long to answer'),
];

const socketOf = ({ address = '*', port }: Listen): string =>
  isIP(address) === 6 ? `ipv6@${address}:${port}` : `${address}:${port}`;

const bindLines = ({ http, https, certificates }: Frame['plan']): string[] => [
  ...(http === undefined ? [] : [`  bind ${socketOf(http)}`]),
  ...(https === undefined
    ? []
    : [`  bind ${socketOf(https)} ssl crt ${quoted(certificates ?? '')} alpn h2,http/1.1`]),
];

const redirectLines = ({ http, https, redirect }: Frame['plan']): string[] => {
  if (redirect !== true || http === undefined || https === undefined) return [];
  const port = https.port === 443 ? '' : `:${https.port}`;
  const place = `https://%[req.hdr(host),host_only,lower]${port}%[pathq]`;
  return [`  http-request redirect location ${place} code 308 unless { ssl_fc }`];
};

const scheme = ({ http, https }: Frame['plan']): string => {
  if (http === undefined) return 'https';
  return https === undefined ? 'http' : '%[ssl_fc,iif(https,http)]';
};

const UNKNOWN = 'unless { var(txn.pool) -m found }';

/**
 * The map is searched for the longest beginning of host and path: as they are, which is quick and finds what most clients send; with
 * the host as it is meant; and with a star for its first label.
 */
const FRONTEND = (plan: Frame['plan']): string[] => [
  'frontend web',
  ...bindLines(plan),
  `  log ring@${ANSWERS} format raw local0`,
  // Pool, wall clock, milliseconds of the answer (-1: none came).
  '  log-format "%b %[date(0,ms)] %Tr"',
  '  http-request disable-l7-retry unless METH_GET or { method HEAD } or { method OPTIONS }',
  `  http-request set-var(txn.pool) base,concat(/),map_beg(${MAP})`,
  `  http-request set-var(txn.path) path,concat(/) ${UNKNOWN}`,
  `  http-request set-var(txn.host) req.hdr(host),host_only,rtrim(.),lower ${UNKNOWN}`,
  `  http-request set-var(txn.pool) var(txn.host),concat(,txn.path),map_beg(${MAP}) ${UNKNOWN}`,
  `  http-request set-var(txn.pool) var(txn.host),regsub(^[a-z0-9_-]*,*),concat(,txn.path),map_beg(${MAP}) ${UNKNOWN}`,
  `  http-request return status 404 content-type text/plain string "no site has this name here\\n" ${UNKNOWN}`,
  ...redirectLines(plan),
  // What a client says of itself, and of where it asks, is not believed.
  '  http-request del-header X-Forwarded- -m beg',
  '  http-request del-header X-Real-IP',
  '  http-request set-header X-Forwarded-For %[src]',
  `  http-request set-header X-Forwarded-Proto ${scheme(plan)}`,
  '  http-request del-header Forwarded',
  // After an upgrade to HTTP/2 nothing of this would hold for what a client asks.
  '  http-request del-header Upgrade unless { req.fhdr_cnt(Upgrade) eq 1 } { req.fhdr(Upgrade) -i websocket }',
  '  http-response set-var(txn.server) srv_name if { status 101 }',
  `  http-response track-sc0 var(txn.pool),concat(/,txn.server) table ${TUNNELS} if { status 101 }`,
  '  use_backend %[var(txn.pool)]',
];

const serverLine = (pool: Pool, index: number): string => {
  const slot = pool.slots[index];
  const name = `  server ${slotName(index)}`;
  if (slot === undefined) return `${name} 0.0.0.0:1 disabled`;
  const address = isIP(slot.address) === 6 ? `ipv6@${slot.address}` : slot.address;
  return `${name} ${address}:${slot.port} weight ${weightOf(pool, index)} maxconn ${pool.concurrency}`;
};

const backendLines = (pool: Pool): string[] => [
  `backend ${pool.name}`,
  '  balance leastconn',
  // Where there are many answers, the time of each sixteenth tells enough.
  '  http-response set-log-level silent if { be_sess_rate gt 100 } { rand(16) gt 0 }',
  '  default-server weight 100 pool-purge-delay 250ms',
  ...pool.slots.map((_, index) => serverLine(pool, index)),
];

/** The part that only a reload changes, when the shape of the pools stays. */
export const frameText = (frame: Frame): string =>
  [...GLOBAL(frame), ...MEASUREMENTS, ...DEFAULTS, ...FRONTEND(frame.plan), ''].join('\n');

export const configText = (frame: Frame, pools: readonly Pool[]): string =>
  frameText(frame) + pools.flatMap(backendLines).join('\n') + '\n';

export const mapText = (places: Content['places']): string =>
  [...places].map(([key, pool]) => `${key} ${pool}\n`).join('');
