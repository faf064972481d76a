/** The part of the HTTP API that keeps snapshots and goes back to them. */
import { createRoute, z } from '@hono/zod-openapi';
import {
  DiffReport,
  ForkRequest,
  ForkResult,
  GcReport,
  GcRequest,
  HistoryEntry,
  PinRequest,
  RewindRequest,
  RewindResult,
  SnapshotId,
  SnapshotRequest,
  SnapshotResult,
} from './history.ts';
import { PATHS } from './paths.ts';
import { body, errors, json, optionalBody, params } from './route-parts.ts';

const snapshotParams = z.object({
  snapshot: SnapshotId.openapi({
    param: { name: 'snapshot', in: 'path' },
    description: 'ID or its beginning',
  }),
});

const DiffQuery = z.object({
  from: SnapshotId,
  /** The latest when left out. */
  to: SnapshotId.optional(),
});

export const historyRoutes = {
  takeSnapshot: createRoute({
    ...PATHS.takeSnapshot,
    operationId: 'takeSnapshot',
    summary: 'Save an application, which goes on running',
    request: { params, body: optionalBody(SnapshotRequest) },
    responses: { 201: json(SnapshotResult, 'The snapshot'), ...errors },
  }),
  history: createRoute({
    ...PATHS.history,
    operationId: 'history',
    summary: 'The snapshots of an application, oldest first',
    request: { params },
    responses: { 200: json(z.array(HistoryEntry), 'The snapshots'), ...errors },
  }),
  diff: createRoute({
    ...PATHS.diff,
    operationId: 'diff',
    summary: 'What changed between two snapshots of an application',
    request: { params, query: DiffQuery },
    responses: { 200: json(DiffReport, 'The differences'), ...errors },
  }),
  rewindApp: createRoute({
    ...PATHS.rewindApp,
    operationId: 'rewindApp',
    summary:
      'Bring an application back to a snapshot, with memory and files; what came later stays in its history',
    request: { params, body: body(RewindRequest) },
    responses: { 200: json(RewindResult, 'It is where it was then'), ...errors },
  }),
  forkApp: createRoute({
    ...PATHS.forkApp,
    operationId: 'forkApp',
    summary: 'Start a new application from a snapshot of another',
    request: { params, body: body(ForkRequest) },
    responses: { 201: json(ForkResult, 'The new application'), ...errors },
  }),
  pinSnapshot: createRoute({
    ...PATHS.pinSnapshot,
    operationId: 'pinSnapshot',
    summary: 'Keep a snapshot whatever the rules of the daemon say, or no longer',
    request: { params: snapshotParams, body: body(PinRequest) },
    responses: { 200: json(HistoryEntry, 'The snapshot'), ...errors },
  }),
  removeSnapshot: createRoute({
    ...PATHS.removeSnapshot,
    operationId: 'removeSnapshot',
    summary: 'Remove a snapshot that no application would wake from',
    request: { params: snapshotParams },
    responses: { 204: { description: 'It is gone' }, ...errors },
  }),
  gc: createRoute({
    ...PATHS.gc,
    operationId: 'gc',
    summary: 'Remove what the rules no longer keep, and what no snapshot needs',
    request: { body: optionalBody(GcRequest) },
    responses: { 200: json(GcReport, 'What was removed, or would be'), ...errors },
  }),
};
