/**
 * Where each operation of the HTTP API lives. Kept apart from the schemas, so that the client can ask without loading
 * them: they take longer to load than most answers take to come.
 */
export const PATHS = {
  version: { method: 'get', path: '/v1/version' },
  listApps: { method: 'get', path: '/v1/apps' },
  runApp: { method: 'post', path: '/v1/apps' },
  inspectApp: { method: 'get', path: '/v1/apps/{app}' },
  removeApp: { method: 'delete', path: '/v1/apps/{app}' },
  freezeApp: { method: 'post', path: '/v1/apps/{app}/freeze' },
  sleepApp: { method: 'post', path: '/v1/apps/{app}/sleep' },
  wakeApp: { method: 'post', path: '/v1/apps/{app}/wake' },
  stopApp: { method: 'post', path: '/v1/apps/{app}/stop' },
  checkApp: { method: 'get', path: '/v1/apps/{app}/check' },
  mapApp: { method: 'get', path: '/v1/apps/{app}/map' },
  findSystem: { method: 'get', path: '/v1/map' },
  logs: { method: 'get', path: '/v1/apps/{app}/logs' },
  exec: { method: 'post', path: '/v1/apps/{app}/exec' },
  takeSnapshot: { method: 'post', path: '/v1/apps/{app}/snapshots' },
  history: { method: 'get', path: '/v1/apps/{app}/snapshots' },
  diff: { method: 'get', path: '/v1/apps/{app}/diff' },
  rewindApp: { method: 'post', path: '/v1/apps/{app}/rewind' },
  forkApp: { method: 'post', path: '/v1/apps/{app}/fork' },
  exportApp: { method: 'post', path: '/v1/apps/{app}/export' },
  pushApp: { method: 'post', path: '/v1/apps/{app}/push' },
  importApp: { method: 'post', path: '/v1/import' },
  pullApp: { method: 'post', path: '/v1/pull' },
  pinSnapshot: { method: 'patch', path: '/v1/snapshots/{snapshot}' },
  removeSnapshot: { method: 'delete', path: '/v1/snapshots/{snapshot}' },
  gc: { method: 'post', path: '/v1/gc' },
  listTemplates: { method: 'get', path: '/v1/templates' },
  createTemplate: { method: 'post', path: '/v1/templates' },
  inspectTemplate: { method: 'get', path: '/v1/templates/{template}' },
  removeTemplate: { method: 'delete', path: '/v1/templates/{template}' },
  cloneTemplate: { method: 'post', path: '/v1/templates/{template}/clones' },
  exportTemplate: { method: 'post', path: '/v1/templates/{template}/export' },
  pushTemplate: { method: 'post', path: '/v1/templates/{template}/push' },
  listNetworks: { method: 'get', path: '/v1/networks' },
  createNetwork: { method: 'post', path: '/v1/networks' },
  listPorts: { method: 'get', path: '/v1/ports' },
  removeNetwork: { method: 'delete', path: '/v1/networks/{network}' },
  events: { method: 'get', path: '/v1/events' },
  top: { method: 'get', path: '/v1/top' },
  metrics: { method: 'get', path: '/metrics' },
  openapi: { method: 'get', path: '/openapi.json' },
} as const;
export type Operation = keyof typeof PATHS;

/** The daemon names its version in this header of every answer. */
export const VERSION_HEADER = 'appshot-version';

/** Most bytes that `exec` may send to the program's standard input. */
export const MAX_EXEC_INPUT = 1 << 20;
