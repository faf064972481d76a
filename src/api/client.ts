/**
 * The typed client of the daemon's HTTP API. It stands apart from the room's index, because the schemas take longer to load than
 * a command takes to run: a daemon of the very same version built its answers from the same schemas, so they are checked only
 * when the version that it names differs.
 */
import { join } from 'node:path';
import { AppShotError } from '../common/index.ts';
import type {
  DiffReport,
  ForkRequest,
  ForkResult,
  GcReport,
  GcRequest,
  HistoryEntry,
  RewindRequest,
  RewindResult,
  SnapshotRequest,
  SnapshotResult,
  WakeRequest,
} from './history.ts';
import type { NetworkRequest, NetworkView } from './networks.ts';
import type { PortsView } from './ports.ts';
import type { FoundTranslation, MapView, TranslationType } from './map.ts';
import { PATHS, VERSION_HEADER } from './paths.ts';
import type { Operation } from './paths.ts';
export { MAX_EXEC_INPUT } from './paths.ts';
import { RemoteError } from './remote-error.ts';
import type { StopRequest } from './routes.ts';
import type {
  AppDetail,
  AppEvent,
  AppView,
  ChainSpec,
  CheckReport,
  ExecFrame,
  ExecRequest,
  LogLine,
  SleepResult,
  TopRow,
  VersionView,
  WakeResult,
} from './schemas.ts';
import type { CloneRequest, CloneView, TemplateDetail, TemplateRequest, TemplateView } from './templates.ts';
import type {
  ExportRequest,
  ImportRequest,
  ImportResult,
  PullRequest,
  PushRequest,
  TransferResult,
} from './transfers.ts';
import { send } from './transport.ts';
import type { Answer } from './transport.ts';
import { VERSION } from './version.ts';
export { VERSION } from './version.ts';

type Query = Readonly<Record<string, string | number | boolean | undefined>>;

/** An abort ends the request; the daemon still finishes a sleep or wake that has begun. */
export interface CallOptions {
  readonly signal?: AbortSignal | undefined;
}

interface Call extends CallOptions {
  readonly app?: string;
  readonly snapshot?: string;
  readonly template?: string;
  readonly network?: string;
  readonly query?: Query;
  readonly body?: unknown;
}

const toPath = (operation: Operation, { app, snapshot, template, network, query = {} }: Call): string => {
  const search = new URLSearchParams();
  for (const [key, value] of Object.entries(query)) {
    if (value !== undefined && value !== false) search.set(key, String(value));
  }
  const path = PATHS[operation].path
    .replace('{app}', app ?? '')
    .replace('{snapshot}', snapshot ?? '')
    .replace('{template}', template ?? '')
    .replace('{network}', network ?? '');
  return search.size === 0 ? path : `${path}?${search.toString()}`;
};

/** What is neither a name nor an ID is not sent: it could be read as another path. */
const isName = (name: string | undefined): boolean =>
  name === undefined || /^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$/.test(name);

const checkApp = (app: string | undefined): void => {
  if (!isName(app)) throw new AppShotError('APP_NOT_FOUND', { name: app });
};

const checkTemplate = (template: string | undefined): void => {
  if (!isName(template)) throw new AppShotError('TEMPLATE_NOT_FOUND', { name: template });
};

const checkNetwork = (network: string | undefined): void => {
  if (!isName(network)) throw new AppShotError('NETWORK_NOT_FOUND', { name: network });
};

const checkSnapshot = (snapshot: string | undefined): void => {
  if (snapshot === undefined || /^[0-9A-Za-z]{1,26}$/.test(snapshot)) return;
  throw new AppShotError('SNAPSHOT_NOT_FOUND', { snapshot });
};

const parse = (text: string, theirs: string): unknown => {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new AppShotError(
      'BAD_ANSWER',
      { theirs, ours: VERSION, reason: 'it is not JSON' },
      { cause: error },
    );
  }
};

const checked = async (operation: Operation, value: unknown, theirs: string): Promise<unknown> => {
  if (theirs === VERSION) return value;
  const { checkAnswer } = await import('./answers.ts');
  return checkAnswer(operation, value, theirs);
};

const versionOf = (answer: Answer): string => {
  const version = answer.headers[VERSION_HEADER];
  return typeof version === 'string' ? version : 'unknown';
};

export class Client {
  readonly socketPath: string;

  /** @param runDir the daemon's --run-dir, where its socket is */
  constructor(runDir: string) {
    this.socketPath = join(runDir, 'appshot.sock');
  }

  #send(operation: Operation, call: Call): Promise<Answer> {
    checkApp(call.app);
    checkSnapshot(call.snapshot);
    checkTemplate(call.template);
    checkNetwork(call.network);
    const { method } = PATHS[operation];
    const { body, signal } = call;
    return send(this.socketPath, {
      method: method.toUpperCase(),
      path: toPath(operation, call),
      body,
      signal,
    });
  }

  async #call<T>(operation: Operation, call: Call = {}): Promise<T> {
    const answer = await this.#send(operation, call);
    const theirs = versionOf(answer);
    return (await checked(operation, parse(await answer.text(), theirs), theirs)) as T;
  }

  async *#stream<T>(operation: Operation, call: Call): AsyncGenerator<T> {
    const answer = await this.#send(operation, call);
    const theirs = versionOf(answer);
    for await (const line of answer.lines()) {
      const value = parse(line, theirs);
      if (typeof value === 'object' && value !== null && 'error' in value)
        throw new RemoteError(value.error, 500);
      yield (await checked(operation, value, theirs)) as T;
    }
  }

  version(options: CallOptions = {}): Promise<VersionView> {
    return this.#call('version', options);
  }

  /** Applications; stopped ones only with `all`. */
  apps({ all, signal }: CallOptions & { all?: boolean } = {}): Promise<AppView[]> {
    return this.#call('listApps', { query: { all }, signal });
  }

  /** Resolves when the chain runs. */
  run(spec: ChainSpec, options: CallOptions = {}): Promise<AppView> {
    return this.#call('runApp', { ...options, body: spec });
  }

  inspect(app: string, options: CallOptions = {}): Promise<AppDetail> {
    return this.#call('inspectApp', { ...options, app });
  }

  sleep(app: string, options: CallOptions = {}): Promise<SleepResult> {
    return this.#call('sleepApp', { ...options, app });
  }

  freeze(app: string, options: CallOptions = {}): Promise<AppView> {
    return this.#call('freezeApp', { ...options, app });
  }

  wake(app: string, body: WakeRequest = {}, options: CallOptions = {}): Promise<WakeResult> {
    return this.#call('wakeApp', { ...options, app, body });
  }

  stop(app: string, body: StopRequest, options: CallOptions = {}): Promise<AppView> {
    return this.#call('stopApp', { ...options, app, body });
  }

  /** With `force`, also an application that runs or sleeps. */
  async remove(app: string, { force, signal }: CallOptions & { force?: boolean } = {}): Promise<void> {
    const answer = await this.#send('removeApp', { app, query: { force }, signal });
    await answer.text();
  }

  /** Resolves when the application goes on. */
  takeSnapshot(app: string, body: SnapshotRequest = {}, options: CallOptions = {}): Promise<SnapshotResult> {
    return this.#call('takeSnapshot', { ...options, app, body });
  }

  /** Oldest first. */
  history(app: string, options: CallOptions = {}): Promise<HistoryEntry[]> {
    return this.#call('history', { ...options, app });
  }

  /** What changed since `from`, up to the latest snapshot unless `to` names one. */
  diff(
    app: string,
    query: { readonly from: string; readonly to?: string | undefined },
    options: CallOptions = {},
  ): Promise<DiffReport> {
    [query.from, query.to].forEach(checkSnapshot);
    return this.#call('diff', { ...options, app, query });
  }

  rewind(app: string, body: RewindRequest, options: CallOptions = {}): Promise<RewindResult> {
    return this.#call('rewindApp', { ...options, app, body });
  }

  fork(app: string, body: ForkRequest, options: CallOptions = {}): Promise<ForkResult> {
    return this.#call('forkApp', { ...options, app, body });
  }

  pin(snapshot: string, pinned: boolean, options: CallOptions = {}): Promise<HistoryEntry> {
    return this.#call('pinSnapshot', { ...options, snapshot, body: { pinned } });
  }

  async removeSnapshot(snapshot: string, options: CallOptions = {}): Promise<void> {
    await (await this.#send('removeSnapshot', { ...options, snapshot })).text();
  }

  gc(body: GcRequest = {}, options: CallOptions = {}): Promise<GcReport> {
    return this.#call('gc', { ...options, body });
  }

  export(app: string, body: ExportRequest, options: CallOptions = {}): Promise<TransferResult> {
    return this.#call('exportApp', { ...options, app, body });
  }

  push(app: string, body: PushRequest, options: CallOptions = {}): Promise<TransferResult> {
    return this.#call('pushApp', { ...options, app, body });
  }

  import(body: ImportRequest, options: CallOptions = {}): Promise<ImportResult> {
    return this.#call('importApp', { ...options, body });
  }

  pull(body: PullRequest, options: CallOptions = {}): Promise<ImportResult> {
    return this.#call('pullApp', { ...options, body });
  }

  /** Oldest first. */
  templates(options: CallOptions = {}): Promise<TemplateView[]> {
    return this.#call('listTemplates', options);
  }

  createTemplate(body: TemplateRequest, options: CallOptions = {}): Promise<TemplateView> {
    return this.#call('createTemplate', { ...options, body });
  }

  inspectTemplate(template: string, options: CallOptions = {}): Promise<TemplateDetail> {
    return this.#call('inspectTemplate', { ...options, template });
  }

  async removeTemplate(template: string, options: CallOptions = {}): Promise<void> {
    await (await this.#send('removeTemplate', { ...options, template })).text();
  }

  /** All of them, or none. */
  clone(template: string, body: Partial<CloneRequest> = {}, options: CallOptions = {}): Promise<CloneView[]> {
    return this.#call('cloneTemplate', { ...options, template, body });
  }

  exportTemplate(template: string, body: ExportRequest, options: CallOptions = {}): Promise<TransferResult> {
    return this.#call('exportTemplate', { ...options, template, body });
  }

  pushTemplate(template: string, body: PushRequest, options: CallOptions = {}): Promise<TransferResult> {
    return this.#call('pushTemplate', { ...options, template, body });
  }

  /** The daemon's own first, then oldest first. */
  networks(options: CallOptions = {}): Promise<NetworkView[]> {
    return this.#call('listNetworks', options);
  }

  createNetwork(
    body: Partial<NetworkRequest> & { name: string },
    options: CallOptions = {},
  ): Promise<NetworkView> {
    return this.#call('createNetwork', { ...options, body });
  }

  /** Of all applications, unless one is named. */
  ports(app?: string, options: CallOptions = {}): Promise<PortsView> {
    checkApp(app);
    return this.#call('listPorts', { ...options, query: { app } });
  }

  async removeNetwork(network: string, options: CallOptions = {}): Promise<void> {
    await (await this.#send('removeNetwork', { ...options, network })).text();
  }

  check(app: string, options: CallOptions = {}): Promise<CheckReport> {
    return this.#call('checkApp', { ...options, app });
  }

  /** `virtual` is a type and an ID, such as `pid:17`. */
  map(
    app: string,
    query: { readonly type?: TranslationType | undefined; readonly virtual?: string | undefined } = {},
    options: CallOptions = {},
  ): Promise<MapView> {
    return this.#call('mapApp', { ...options, app, query });
  }

  /** `system` is a type and an ID, such as `pid:4711`. */
  findSystem(system: string, options: CallOptions = {}): Promise<FoundTranslation[]> {
    return this.#call('findSystem', { ...options, query: { system } });
  }

  top(options: CallOptions = {}): Promise<TopRow[]> {
    return this.#call('top', options);
  }

  logs(
    app: string,
    { signal, ...query }: CallOptions & { process?: string; tail?: number; follow?: boolean } = {},
  ): AsyncGenerator<LogLine> {
    return this.#stream('logs', { app, query, signal });
  }

  /** Leaving the loop ends the program. */
  exec(app: string, body: ExecRequest, options: CallOptions = {}): AsyncGenerator<ExecFrame> {
    return this.#stream('exec', { ...options, app, body });
  }

  events({
    signal,
    ...query
  }: CallOptions & { since?: number; follow?: boolean } = {}): AsyncGenerator<AppEvent> {
    return this.#stream('events', { query, signal });
  }
}
