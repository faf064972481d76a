/** The part of the HTTP API by which snapshots travel. */
import { createRoute } from '@hono/zod-openapi';
import { PATHS } from './paths.ts';
import { body, errors, json, params } from './route-parts.ts';
import {
  ExportRequest,
  ImportRequest,
  ImportResult,
  PullRequest,
  PushRequest,
  TransferResult,
} from './transfers.ts';

export const transferRoutes = {
  exportApp: createRoute({
    ...PATHS.exportApp,
    operationId: 'exportApp',
    summary: 'Write a snapshot with all it needs to one file',
    request: { params, body: body(ExportRequest) },
    responses: { 200: json(TransferResult, 'It is written'), ...errors },
  }),
  pushApp: createRoute({
    ...PATHS.pushApp,
    operationId: 'pushApp',
    summary: 'Send a snapshot to an OCI registry; what is there already is not sent again',
    request: { params, body: body(PushRequest) },
    responses: { 200: json(TransferResult, 'It is there'), ...errors },
  }),
  importApp: createRoute({
    ...PATHS.importApp,
    operationId: 'importApp',
    summary: 'Make a sleeping application from an exported file',
    request: { body: body(ImportRequest) },
    responses: { 201: json(ImportResult, 'It is asleep'), ...errors },
  }),
  pullApp: createRoute({
    ...PATHS.pullApp,
    operationId: 'pullApp',
    summary:
      'Make a sleeping application from a snapshot in an OCI registry; only what is missing is fetched',
    request: { body: body(PullRequest) },
    responses: { 201: json(ImportResult, 'It is asleep'), ...errors },
  }),
};
