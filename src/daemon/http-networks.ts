/** The part of the HTTP API that makes networks. */
import type { OpenAPIHono } from '@hono/zod-openapi';
import { routes } from '../api/index.ts';
import type { NetworkList } from '../application/index.ts';

export const bindNetworks = (app: OpenAPIHono, networks: NetworkList): void => {
  app.openapi(routes.listNetworks, async (c) => c.json(await networks.list(), 200));
  app.openapi(routes.createNetwork, async (c) => c.json(await networks.create(c.req.valid('json')), 201));
  app.openapi(routes.removeNetwork, async (c) => {
    await networks.remove(c.req.valid('param').network);
    return c.body(null, 204);
  });
};
