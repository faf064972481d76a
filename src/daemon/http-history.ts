/** The part of the HTTP API that keeps snapshots, goes back to them, and lets them travel. */
import type { OpenAPIHono } from '@hono/zod-openapi';
import { routes } from '../api/index.ts';
import type { Applications, History, Transfers } from '../application/index.ts';

export const bindHistory = (app: OpenAPIHono, applications: Applications, history: History): void => {
  app.openapi(routes.takeSnapshot, async (c) => {
    const { pin = false, ttl } = c.req.valid('json');
    const options = { pin, ...(ttl === undefined ? {} : { ttlMs: ttl * 1000 }) };
    return c.json(await applications.snapshot(c.req.valid('param').app, options), 201);
  });
  app.openapi(routes.history, async (c) => c.json(await history.list(c.req.valid('param').app), 200));
  app.openapi(routes.diff, async (c) => {
    const { from, to } = c.req.valid('query');
    return c.json(await history.diff(c.req.valid('param').app, from, to), 200);
  });
  app.openapi(routes.rewindApp, async (c) => {
    const { snapshot } = c.req.valid('json');
    return c.json(await history.rewind(c.req.valid('param').app, snapshot), 200);
  });
  app.openapi(routes.forkApp, async (c) => {
    const { snapshot, ...identity } = c.req.valid('json');
    return c.json(await history.fork(c.req.valid('param').app, snapshot, identity), 201);
  });
};

export const bindSnapshots = (app: OpenAPIHono, history: History): void => {
  app.openapi(routes.pinSnapshot, async (c) => {
    const { pinned } = c.req.valid('json');
    return c.json(await history.pin(c.req.valid('param').snapshot, pinned), 200);
  });
  app.openapi(routes.removeSnapshot, async (c) => {
    await history.remove(c.req.valid('param').snapshot);
    return c.body(null, 204);
  });
  app.openapi(routes.gc, async (c) => {
    const { dryRun = false } = c.req.valid('json');
    return c.json(await history.gc({ dryRun }), 200);
  });
};

export const bindTransfers = (app: OpenAPIHono, transfers: Transfers): void => {
  app.openapi(routes.exportApp, async (c) => {
    const { snapshot, ...request } = c.req.valid('json');
    return c.json(await transfers.exportTo(c.req.valid('param').app, snapshot, request), 200);
  });
  app.openapi(routes.pushApp, async (c) => {
    const { snapshot, ...request } = c.req.valid('json');
    return c.json(await transfers.push(c.req.valid('param').app, snapshot, request), 200);
  });
  app.openapi(routes.importApp, async (c) => c.json(await transfers.importFrom(c.req.valid('json')), 201));
  app.openapi(routes.pullApp, async (c) => c.json(await transfers.pull(c.req.valid('json')), 201));
};
