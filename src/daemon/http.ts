/** The HTTP API of a daemon: routes of `src/api` bound to its applications. */
import { OpenAPIHono } from '@hono/zod-openapi';
import type { Context } from 'hono';
import { HTTPException } from 'hono/http-exception';
import { VERSION, VERSION_HEADER, routes } from '../api/index.ts';
import type { VersionView } from '../api/index.ts';
import {
  detailsOf,
  execInside,
  findBlockers,
  findSystem,
  mapApplication,
  topRow,
  viewOf,
} from '../application/index.ts';
import type {
  Applications,
  History,
  House,
  NetworkList,
  Sites,
  Templates,
  Transfers,
} from '../application/index.ts';
import { AppShotError, toAppShotError } from '../common/index.ts';
import type { Cgroups } from '../environments/index.ts';
import { logFile } from '../harness/index.ts';
import type { Scheduler } from '../scheduler/index.ts';
import type { Events } from './events.ts';
import { bindHistory, bindSnapshots, bindTransfers } from './http-history.ts';
import { bindNetworks } from './http-networks.ts';
import { bindTemplates } from './http-templates.ts';
import type { Metrics } from './metrics.ts';
import { eventStream, execStream, logStream, ndjson } from './streams.ts';
import type { LogSource } from './streams.ts';

export interface Services {
  readonly house: House;
  readonly applications: Applications;
  readonly history: History;
  readonly transfers: Transfers;
  readonly templates: Templates;
  readonly networks: NetworkList;
  readonly cgroups: Cgroups;
  readonly scheduler: Scheduler;
  readonly sites: Sites;
  readonly events: Events;
  readonly metrics: Metrics;
  readonly version: VersionView;
}

const lines = (context: Context, values: AsyncIterable<unknown>): Response =>
  context.body(ndjson(values), 200, { 'content-type': 'application/x-ndjson' });

/** What Hono refuses by itself, such as a body that is not JSON, is the caller's mistake. */
const toKnown = (thrown: unknown): AppShotError =>
  thrown instanceof HTTPException
    ? new AppShotError('BAD_REQUEST', { field: 'the body', reason: thrown.message }, { cause: thrown })
    : toAppShotError(thrown);

const answerError = (context: Context, thrown: unknown): Response => {
  const error = toAppShotError(thrown);
  return context.json({ error: error.toBody() }, error.spec.status);
};

const newApp = (): OpenAPIHono =>
  new OpenAPIHono({
    defaultHook: (result) => {
      if (result.success) return;
      const [issue] = result.error.issues;
      const field = issue?.path.join('.') || 'the body';
      const reason = issue?.message ?? 'it is not valid';
      throw new AppShotError('BAD_REQUEST', { field, reason });
    },
  });

const bindReading = (app: OpenAPIHono, services: Services): void => {
  const { house, applications, scheduler, cgroups, events, metrics, version } = services;
  app.openapi(routes.version, (c) => c.json(version, 200));
  app.openapi(routes.listApps, async (c) => {
    const { all } = c.req.valid('query');
    const records = await applications.list();
    return c.json(records.filter(({ state }) => all || state !== 'stopped').map(viewOf), 200);
  });
  app.openapi(routes.inspectApp, async (c) => {
    const record = await applications.find(c.req.valid('param').app);
    return c.json(await detailsOf(house, record, applications.environment(record.aid)), 200);
  });
  app.openapi(routes.top, async (c) => {
    const rows = (await applications.list()).map((record) => {
      const environment = applications.environment(record.aid);
      const usage = environment && cgroups.usage(environment.id);
      return topRow(record, usage, scheduler.activity(record));
    });
    return c.json(rows, 200);
  });
  app.openapi(routes.events, (c) => {
    const { since = 0, follow } = c.req.valid('query');
    return lines(c, eventStream(events, since, follow, c.req.raw.signal));
  });
  app.openapi(routes.metrics, async (c) => c.text(await metrics.text(), 200));
};

const logSources = (services: Services, aid: string, names: readonly string[]): LogSource[] => {
  const { log } = services.house.layout.application(aid);
  return names.flatMap((process) =>
    (['stdout', 'stderr'] as const).map((stream) => ({
      process,
      stream,
      path: logFile(log, process, stream),
    })),
  );
};

const bindLooking = (app: OpenAPIHono, services: Services): void => {
  const { house, applications } = services;
  app.openapi(routes.checkApp, async (c) => {
    const record = await applications.rouse(c.req.valid('param').app);
    const environment = applications.environment(record.aid);
    if (!environment || record.state !== 'running') {
      const advice = 'only what runs can be checked';
      throw new AppShotError('WRONG_STATE', {
        name: record.name,
        state: record.state,
        verb: 'be checked',
        advice,
      });
    }
    const blockers = [...findBlockers(house, record, environment)];
    return c.json({ aid: record.aid, name: record.name, ok: blockers.length === 0, blockers }, 200);
  });
  app.openapi(routes.mapApp, async (c) => {
    const record = await applications.find(c.req.valid('param').app);
    const environment = applications.environment(record.aid);
    return c.json(await mapApplication(house, record, environment, c.req.valid('query')), 200);
  });
  app.openapi(routes.findSystem, async (c) =>
    c.json(await findSystem(house, applications, c.req.valid('query').system), 200),
  );
  app.openapi(routes.logs, async (c) => {
    const { process: wanted, tail, follow } = c.req.valid('query');
    const { aid, spec, name } = await applications.find(c.req.valid('param').app);
    const names = spec.processes
      .map((one) => one.name)
      .filter((one) => wanted === undefined || one === wanted);
    if (names.length === 0)
      throw new AppShotError('BAD_REQUEST', { field: 'process', reason: `${name} has no process ${wanted}` });
    const { log } = house.layout.application(aid);
    return lines(c, logStream(log, logSources(services, aid, names), { tail, follow }, c.req.raw.signal));
  });
  app.openapi(routes.exec, async (c) => {
    const record = await applications.rouse(c.req.valid('param').app);
    const environment = applications.environment(record.aid);
    const request = c.req.valid('json');
    const program = await execInside(house, record, environment, request);
    return lines(c, execStream(program, Buffer.from(request.input ?? '', 'base64'), c.req.raw.signal));
  });
};

const bindChanging = (app: OpenAPIHono, { applications }: Services): void => {
  app.openapi(routes.runApp, async (c) => c.json(await applications.run(c.req.valid('json')), 201));
  app.openapi(routes.freezeApp, async (c) =>
    c.json(await applications.freeze(c.req.valid('param').app), 200),
  );
  app.openapi(routes.sleepApp, async (c) => c.json(await applications.sleep(c.req.valid('param').app), 200));
  app.openapi(routes.wakeApp, async (c) =>
    c.json(await applications.wake(c.req.valid('param').app, c.req.valid('json')), 200),
  );
  app.openapi(routes.stopApp, async (c) => {
    const { timeout } = c.req.valid('json');
    return c.json(await applications.stop(c.req.valid('param').app, timeout * 1000), 200);
  });
  app.openapi(routes.removeApp, async (c) => {
    await applications.remove(c.req.valid('param').app, c.req.valid('query').force);
    return c.body(null, 204);
  });
};

/** The API as a fetch handler. */
export const makeApi = (services: Services): OpenAPIHono => {
  const app = newApp();
  app.use(async (c, next) => {
    c.header(VERSION_HEADER, VERSION);
    await next();
  });
  app.onError((error, c) => {
    const known = toKnown(error);
    if (known.spec.kind === 'fault')
      services.house.log.error({ err: known, path: c.req.path }, 'a request failed');
    c.header(VERSION_HEADER, VERSION);
    return answerError(c, known);
  });
  app.notFound((c) =>
    answerError(c, new AppShotError('BAD_REQUEST', { field: 'path', reason: `nothing is at ${c.req.path}` })),
  );
  bindReading(app, services);
  bindLooking(app, services);
  bindChanging(app, services);
  bindHistory(app, services.applications, services.history);
  bindSnapshots(app, services.history);
  bindTransfers(app, services.transfers);
  bindNetworks(app, services);
  bindTemplates(app, services.templates, services.transfers);
  app.doc31('/openapi.json', { openapi: '3.1.0', info: { title: 'AppShot', version: VERSION } });
  return app;
};
