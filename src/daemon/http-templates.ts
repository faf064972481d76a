/** The part of the HTTP API that makes templates and clones. */
import type { OpenAPIHono } from '@hono/zod-openapi';
import { routes } from '../api/index.ts';
import type { Templates, Transfers } from '../application/index.ts';

export const bindTemplates = (app: OpenAPIHono, templates: Templates, transfers: Transfers): void => {
  app.openapi(routes.listTemplates, async (c) => c.json(await templates.list(), 200));
  app.openapi(routes.createTemplate, async (c) => c.json(await templates.create(c.req.valid('json')), 201));
  app.openapi(routes.inspectTemplate, async (c) =>
    c.json(await templates.inspect(c.req.valid('param').template), 200),
  );
  app.openapi(routes.removeTemplate, async (c) => {
    await templates.remove(c.req.valid('param').template);
    return c.body(null, 204);
  });
  app.openapi(routes.cloneTemplate, async (c) =>
    c.json(await templates.clone(c.req.valid('param').template, c.req.valid('json')), 201),
  );
  app.openapi(routes.exportTemplate, async (c) => {
    const { snapshot: _, ...request } = c.req.valid('json');
    return c.json(await transfers.exportTemplate(c.req.valid('param').template, request), 200);
  });
  app.openapi(routes.pushTemplate, async (c) => {
    const { snapshot: _, ...request } = c.req.valid('json');
    return c.json(await transfers.pushTemplate(c.req.valid('param').template, request), 200);
  });
};
