/** The part of the HTTP API that makes networks. */
import { createRoute, z } from '@hono/zod-openapi';
import { NetworkRequest, NetworkView } from './networks.ts';
import { PATHS } from './paths.ts';
import { body, errors, json } from './route-parts.ts';

const params = z.object({
  network: z
    .string()
    .min(1)
    .openapi({ param: { name: 'network', in: 'path' }, example: 'blue' }),
});

export const networkRoutes = {
  listNetworks: createRoute({
    ...PATHS.listNetworks,
    operationId: 'listNetworks',
    summary: "All networks; the daemon's own first, then oldest first",
    responses: { 200: json(z.array(NetworkView), 'The networks'), ...errors },
  }),
  createNetwork: createRoute({
    ...PATHS.createNetwork,
    operationId: 'createNetwork',
    summary: 'Make a network of its own, which no other network reaches',
    request: { body: body(NetworkRequest) },
    responses: { 201: json(NetworkView, 'The network'), ...errors },
  }),
  removeNetwork: createRoute({
    ...PATHS.removeNetwork,
    operationId: 'removeNetwork',
    summary: 'Remove a network that no application belongs to',
    request: { params },
    responses: { 204: { description: 'It is gone' }, ...errors },
  }),
};
