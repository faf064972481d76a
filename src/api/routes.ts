/**
 * The HTTP API: each operation with what it takes and what it answers. The daemon serves these routes, the client checks
 * answers with their schemas, and `/openapi.json` is made from them.
 *
 * `{app}` is a name or an AID. Any answer may be an error instead: the status of its registry entry and an `Error` body.
 * Streams are NDJSON (one JSON value a line); an error after the first line of a stream is sent as a last line that is an
 * `Error` body.
 */
import { createRoute, z } from '@hono/zod-openapi';
import { WakeRequest } from './history.ts';
import { historyRoutes } from './history-routes.ts';
import { mapRoutes } from './map-routes.ts';
import { PATHS } from './paths.ts';
import { body, count, errors, flag, json, lines, optionalBody, params } from './route-parts.ts';
import {
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
import { networkRoutes } from './network-routes.ts';
import { templateRoutes } from './template-routes.ts';
import { transferRoutes } from './transfer-routes.ts';

export const StopRequest = z
  .strictObject({
    /** Seconds between SIGTERM and SIGKILL. */
    timeout: z.number().min(0).max(3600).default(10),
  })
  .openapi('StopRequest');
export type StopRequest = z.infer<typeof StopRequest>;

const AppQuery = z.object({ all: flag });
const RemoveQuery = z.object({ force: flag });
const LogsQuery = z.object({
  process: z.string().min(1).optional(),
  /** Only the last lines of each stream. */
  tail: count.optional(),
  follow: flag,
});
const EventsQuery = z.object({
  /** Only events whose ID is greater. */
  since: count.optional(),
  follow: flag,
});

export const routes = {
  version: createRoute({
    ...PATHS.version,
    operationId: 'version',
    summary: 'The daemon and what it works with',
    responses: { 200: json(VersionView, 'The version'), ...errors },
  }),
  listApps: createRoute({
    ...PATHS.listApps,
    operationId: 'listApps',
    summary: 'Applications; stopped ones only with `all`',
    request: { query: AppQuery },
    responses: { 200: json(z.array(AppView), 'The applications'), ...errors },
  }),
  runApp: createRoute({
    ...PATHS.runApp,
    operationId: 'runApp',
    summary: 'Start an application; answers when its chain runs',
    request: { body: body(ChainSpec) },
    responses: { 201: json(AppView, 'It runs'), ...errors },
  }),
  inspectApp: createRoute({
    ...PATHS.inspectApp,
    operationId: 'inspectApp',
    summary: 'Everything that is tracked for an application',
    request: { params },
    responses: { 200: json(AppDetail, 'The application'), ...errors },
  }),
  removeApp: createRoute({
    ...PATHS.removeApp,
    operationId: 'removeApp',
    summary: 'Remove an application with its files and snapshots; with `force`, also one that runs or sleeps',
    request: { params, query: RemoveQuery },
    responses: { 204: { description: 'It is gone' }, ...errors },
  }),
  freezeApp: createRoute({
    ...PATHS.freezeApp,
    operationId: 'freezeApp',
    summary:
      'Stop the processes of an application where they are, in memory; its next packet lets them go on',
    request: { params },
    responses: { 200: json(AppView, 'It is frozen'), ...errors },
  }),
  sleepApp: createRoute({
    ...PATHS.sleepApp,
    operationId: 'sleepApp',
    summary: 'Put an application to sleep; answers when its processes are gone',
    request: { params },
    responses: { 200: json(SleepResult, 'It is asleep'), ...errors },
  }),
  wakeApp: createRoute({
    ...PATHS.wakeApp,
    operationId: 'wakeApp',
    summary: 'Wake an application; answers when it runs',
    request: { params, body: optionalBody(WakeRequest) },
    responses: { 200: json(WakeResult, 'It runs'), ...errors },
  }),
  stopApp: createRoute({
    ...PATHS.stopApp,
    operationId: 'stopApp',
    summary: 'End the processes of an application',
    request: { params, body: body(StopRequest) },
    responses: { 200: json(AppView, 'It is stopped'), ...errors },
  }),
  checkApp: createRoute({
    ...PATHS.checkApp,
    operationId: 'checkApp',
    summary: 'What would keep an application from being saved; nothing is frozen',
    request: { params },
    responses: { 200: json(CheckReport, 'The report'), ...errors },
  }),
  logs: createRoute({
    ...PATHS.logs,
    operationId: 'logs',
    summary: 'What the processes of an application wrote; with `follow`, also what they write from now on',
    request: { params, query: LogsQuery },
    responses: { 200: lines(LogLine, 'A line of output each'), ...errors },
  }),
  exec: createRoute({
    ...PATHS.exec,
    operationId: 'exec',
    summary: 'Run a program inside a running application; closing the connection ends the program',
    request: { params, body: body(ExecRequest) },
    responses: { 200: lines(ExecFrame, 'Output as it comes; the last line is `exit`'), ...errors },
  }),
  ...mapRoutes,
  ...historyRoutes,
  ...transferRoutes,
  ...templateRoutes,
  ...networkRoutes,
  events: createRoute({
    ...PATHS.events,
    operationId: 'events',
    summary: 'What happened since the daemon started; with `follow`, also what happens from now on',
    request: { query: EventsQuery },
    responses: { 200: lines(AppEvent, 'An event each'), ...errors },
  }),
  top: createRoute({
    ...PATHS.top,
    operationId: 'top',
    summary: 'What each application uses now',
    responses: { 200: json(z.array(TopRow), 'A row for each application'), ...errors },
  }),
  metrics: createRoute({
    ...PATHS.metrics,
    operationId: 'metrics',
    summary: 'Prometheus metrics',
    responses: {
      200: { description: 'The metrics', content: { 'text/plain': { schema: z.string() } } },
      ...errors,
    },
  }),
};
