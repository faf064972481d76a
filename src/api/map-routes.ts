/** The part of the HTTP API that translates between what applications call things and what this machine calls them. */
import { createRoute, z } from '@hono/zod-openapi';
import { FoundTranslation, MapView, TranslationType, TypedId } from './map.ts';
import { PATHS } from './paths.ts';
import { errors, json, params } from './route-parts.ts';

const MapQuery = z.object({
  /** Only this table. */
  type: TranslationType.optional(),
  /** Only what the application calls this. */
  virtual: TypedId.optional(),
});

export const mapRoutes = {
  mapApp: createRoute({
    ...PATHS.mapApp,
    operationId: 'mapApp',
    summary: 'What an application calls its resources, and what this machine calls them',
    request: { params, query: MapQuery },
    responses: { 200: json(MapView, 'The translations'), ...errors },
  }),
  findSystem: createRoute({
    ...PATHS.findSystem,
    operationId: 'findSystem',
    summary: 'Which applications have something of this machine, and what they call it',
    request: { query: z.object({ system: TypedId }) },
    responses: {
      200: json(z.array(FoundTranslation), 'The translations; none when nobody has it'),
      ...errors,
    },
  }),
};
