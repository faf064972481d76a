/** The part of the HTTP API that makes networks, and shows what is published. */
import type { OpenAPIHono } from '@hono/zod-openapi';
import { routes } from '../api/index.ts';
import { portsOf } from '../application/index.ts';
import type { Applications, House, NetworkList } from '../application/index.ts';

interface Parts {
  readonly house: House;
  readonly applications: Applications;
  readonly networks: NetworkList;
}

export const bindNetworks = (app: OpenAPIHono, { house, applications, networks }: Parts): void => {
  app.openapi(routes.listPorts, async (c) => {
    const { app: name } = c.req.valid('query');
    const only = name === undefined ? undefined : await applications.find(name);
    return c.json(portsOf(house, only), 200);
  });
  app.openapi(routes.listNetworks, async (c) => c.json(await networks.list(), 200));
  app.openapi(routes.createNetwork, async (c) => c.json(await networks.create(c.req.valid('json')), 201));
  app.openapi(routes.removeNetwork, async (c) => {
    await networks.remove(c.req.valid('param').network);
    return c.body(null, 204);
  });
};
