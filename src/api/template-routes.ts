/** The part of the HTTP API that makes templates and clones. */
import { createRoute, z } from '@hono/zod-openapi';
import { PATHS } from './paths.ts';
import { body, errors, json, optionalBody } from './route-parts.ts';
import { CloneRequest, CloneView, TemplateDetail, TemplateRequest, TemplateView } from './templates.ts';
import { ExportRequest, PushRequest, TransferResult } from './transfers.ts';

const params = z.object({
  template: z
    .string()
    .min(1)
    .openapi({ param: { name: 'template', in: 'path' }, description: 'name or ID', example: 'web' }),
});

export const templateRoutes = {
  listTemplates: createRoute({
    ...PATHS.listTemplates,
    operationId: 'listTemplates',
    summary: 'All templates, oldest first',
    responses: { 200: json(z.array(TemplateView), 'The templates'), ...errors },
  }),
  createTemplate: createRoute({
    ...PATHS.createTemplate,
    operationId: 'createTemplate',
    summary: 'Make a template from an application, which goes on',
    request: { body: body(TemplateRequest) },
    responses: { 201: json(TemplateView, 'The template'), ...errors },
  }),
  inspectTemplate: createRoute({
    ...PATHS.inspectTemplate,
    operationId: 'inspectTemplate',
    summary: 'What a template holds, and what becomes of each resource in a clone',
    request: { params },
    responses: { 200: json(TemplateDetail, 'The template'), ...errors },
  }),
  removeTemplate: createRoute({
    ...PATHS.removeTemplate,
    operationId: 'removeTemplate',
    summary: 'Remove a template of which no clone is left',
    request: { params },
    responses: { 204: { description: 'It is gone' }, ...errors },
  }),
  cloneTemplate: createRoute({
    ...PATHS.cloneTemplate,
    operationId: 'cloneTemplate',
    summary: 'New applications from a template: all that were asked for, or none',
    request: { params, body: optionalBody(CloneRequest) },
    responses: { 201: json(z.array(CloneView), 'The clones'), ...errors },
  }),
  exportTemplate: createRoute({
    ...PATHS.exportTemplate,
    operationId: 'exportTemplate',
    summary: 'Write a template with all it needs to one file',
    request: { params, body: body(ExportRequest) },
    responses: { 200: json(TransferResult, 'It is written'), ...errors },
  }),
  pushTemplate: createRoute({
    ...PATHS.pushTemplate,
    operationId: 'pushTemplate',
    summary: 'Send a template to an OCI registry; what is there already is not sent again',
    request: { params, body: body(PushRequest) },
    responses: { 200: json(TransferResult, 'It is there'), ...errors },
  }),
};
