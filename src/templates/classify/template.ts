/** The images of a template on disk, classified. */
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import type { TemplateResource, VolumeSpec } from '../../api/index.ts';
import { decodeImage, describeImages, imageKind } from '../../criu/index.ts';
import type { DumpSummary, Schema } from '../../criu/index.ts';
import type { Manifest } from '../../snapshots/index.ts';
import { classifyResources } from './classify.ts';
import type { ClassifyInput } from './found.ts';
import { onVolumes, refusals } from './refusals.ts';

interface Template extends Pick<ClassifyInput, 'rules' | 'places' | 'ruled'> {
  readonly schema: Schema;
  /** Directory of the images; connections with others may be gone from them, but not from the manifest. */
  readonly images: string;
  readonly manifest: Pick<Manifest, 'aid' | 'application' | 'reachable'>;
}

interface Classified {
  readonly resources: readonly TemplateResource[];
  /** Why there can be no template; empty when there can. */
  readonly refusals: readonly string[];
}

const summaryOf = (schema: Schema, images: string): DumpSummary =>
  describeImages(
    readdirSync(images)
      .filter((name) => imageKind(name) !== undefined && !name.startsWith('pagemap-'))
      .map((name) => decodeImage(schema, name, readFileSync(join(images, name)))),
  );

/** Reads all images but those of pages, some milliseconds for each process. Throws `ImageError`, and as reading does. */
export const classifyTemplate = ({ schema, images, manifest, ...given }: Template): Classified => {
  const { aid, application, reachable } = manifest;
  const input = {
    summary: summaryOf(schema, images),
    application: { aid, ...application },
    reachable,
    ...given,
  };
  return { resources: classifyResources(input), refusals: refusals(input) };
};

/**
 * Why what these images hold cannot run beside what they were taken from: a sentence for each reason. Nothing is read where there are no
 * volumes. Throws as `classifyTemplate` does.
 */
export const whyNoSecond = (schema: Schema, images: string, volumes: readonly VolumeSpec[]): string[] =>
  volumes.length === 0 ? [] : [...new Set(onVolumes(summaryOf(schema, images), volumes))];
