/** The routes as the daemon serves them: what they take in, and that the client's table names the same ones. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { OpenAPIHono } from '@hono/zod-openapi';
import { describe, expect, it } from 'vitest';
import { AppView, PATHS, routes, STATES } from '../../src/api/index.ts';
import type { Operation } from '../../src/api/index.ts';

const operations = Object.keys(PATHS).filter((operation) => operation !== 'openapi') as Exclude<
  Operation,
  'openapi'
>[];

const app = new OpenAPIHono();
app.openapi(routes.listApps, (context) => context.json([], context.req.valid('query').all ? 200 : 200));
app.openapi(routes.logs, (context) => new Response(JSON.stringify(context.req.valid('query'))));
app.openapi(routes.removeApp, (context) => new Response(JSON.stringify(context.req.valid('query'))) as never);
app.openapi(routes.stopApp, (context) => new Response(JSON.stringify(context.req.valid('json'))) as never);

app.openapi(routes.wakeApp, (context) => new Response(JSON.stringify(context.req.valid('json'))) as never);
app.openapi(
  routes.takeSnapshot,
  (context) => new Response(JSON.stringify(context.req.valid('json'))) as never,
);
app.openapi(routes.rewindApp, (context) => new Response(JSON.stringify(context.req.valid('json'))) as never);
app.openapi(routes.diff, (context) => new Response(JSON.stringify(context.req.valid('query'))) as never);
app.openapi(routes.importApp, (context) => new Response(JSON.stringify(context.req.valid('json'))) as never);
app.openapi(routes.exportApp, (context) => new Response(JSON.stringify(context.req.valid('json'))) as never);

describe('the routes', () => {
  it.each(operations)('%s is where the client looks for it', (operation) => {
    expect(routes[operation]).toMatchObject({ ...PATHS[operation], operationId: operation });
  });

  it('are on their page', () => {
    const page = readFileSync(join(import.meta.dirname, '../../docs/api.md'), 'utf8');
    for (const { method, path } of Object.values(PATHS)) {
      expect(page).toContain(path === '/openapi.json' ? path : `\`${method.toUpperCase()} ${path}`);
    }
  });

  it('make a document', () => {
    const served = new OpenAPIHono();
    for (const operation of operations) served.openAPIRegistry.registerPath(routes[operation]);
    const document = served.getOpenAPI31Document({
      openapi: '3.1.0',
      info: { title: 'AppShot', version: '1' },
    });
    const listed = Object.entries(document.paths ?? {}).flatMap(([path, item]) =>
      Object.keys(item).map((method) => `${method} ${path}`),
    );
    const expected = operations.map((operation) => `${PATHS[operation].method} ${PATHS[operation].path}`);
    expect(listed.toSorted()).toEqual(expected.toSorted());
    expect(document.components?.schemas?.['State']).toMatchObject({ enum: [...STATES] });
  });
});

describe('a query', () => {
  const ask = async (path: string, init?: RequestInit): Promise<unknown> =>
    (await app.request(path, init)).json();

  it.each([
    ['', { force: false }],
    ['?force', { force: true }],
    ['?force=true', { force: true }],
    ['?force=false', { force: false }],
  ])('%j says whether', async (query, expected) => {
    await expect(ask(`/v1/apps/web${query}`, { method: 'DELETE' })).resolves.toEqual(expected);
  });

  it('counts', async () => {
    await expect(ask('/v1/apps/web/logs?tail=3&follow')).resolves.toEqual({ tail: 3, follow: true });
    await expect(ask('/v1/apps/web/logs')).resolves.toEqual({ follow: false });
  });

  it.each(['?tail=-1', '?tail=x', '?tail=1.5', '?follow=maybe', '?process='])(
    '%s is refused',
    async (query) => {
      expect((await app.request(`/v1/apps/web/logs${query}`)).status).toBe(400);
    },
  );
});

describe('a body', () => {
  const stop = (body: string) =>
    app.request('/v1/apps/web/stop', {
      method: 'POST',
      body,
      headers: { 'content-type': 'application/json' },
    });

  it('may leave out what has a default', async () => {
    await expect((await stop('{}')).json()).resolves.toEqual({ timeout: 10 });
  });

  it.each(['{"timeout":-1}', '{"timout":1}', '[]'])('%s is refused', async (body) => {
    expect((await stop(body)).status).toBe(400);
  });
});

describe('the body', () => {
  const post = (path: string, body?: unknown) =>
    app.request(path, {
      method: 'POST',
      ...(body === undefined
        ? {}
        : { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } }),
    });

  it.each(['wake', 'snapshots'])('of %s may be left out', async (operation) => {
    await expect((await post(`/v1/apps/web/${operation}`)).json()).resolves.toEqual({});
    await expect((await post(`/v1/apps/web/${operation}`, {})).json()).resolves.toEqual({});
  });

  it('may begin an ID in small letters', async () => {
    const body = { snapshot: '01jd4yj6' };
    await expect((await post('/v1/apps/web/rewind', body)).json()).resolves.toEqual({ snapshot: '01JD4YJ6' });
    const asked = await app.request('/v1/apps/web/diff?from=01j');
    await expect(asked.json()).resolves.toEqual({ from: '01J' });
  });

  it('may leave out what an import has a default for', async () => {
    await expect((await post('/v1/import', { file: '/x' })).json()).resolves.toEqual({
      file: '/x',
      force: false,
    });
  });

  it.each([
    ['/v1/apps/web/wake', { memory: 'fast' }],
    ['/v1/apps/web/wake', { mode: 'copy' }],
    ['/v1/apps/web/snapshots', { ttl: 0 }],
    ['/v1/apps/web/snapshots', { pin: true, ttl: 60 }],
    ['/v1/apps/web/rewind', {}],
    ['/v1/apps/web/rewind', { snapshot: '../x' }],
    ['/v1/apps/web/rewind', undefined],
    ['/v1/import', { file: 'x' }],
    ['/v1/import', { file: '/x', name: 'Not A Name' }],
    ['/v1/import', { file: '/x', key: '/k', passphraseFile: '/p' }],
    ['/v1/apps/web/export', { file: '/x', verify: '/k' }],
  ])('for %s may not be %j', async (path, body) => {
    expect((await post(path, body)).status).toBe(400);
  });
});

describe('an answer', () => {
  it('may say more than this version knows', () => {
    const view = {
      aid: 'a',
      name: 'web',
      state: 'asleep',
      address: '10.0.0.1',
      hostname: 'web',
      createdAt: '',
      since: '',
      memory: null,
    };
    expect(AppView.parse({ ...view, later: 1 })).toEqual(view);
  });
});
