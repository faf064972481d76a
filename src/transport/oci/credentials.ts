/**
 * Credentials as container tools keep them: `auths` in `$DOCKER_CONFIG/config.json`, else `~/.docker/config.json`. Helpers
 * (`credHelpers`, `credsStore`) are programs of other vendors and are not called.
 */
import { homedir } from 'node:os';
import { join } from 'node:path';
import { z } from 'zod';
import { AppShotError, readJson } from '../../common/index.ts';

export interface Credentials {
  readonly username: string;
  readonly password: string;
}

const configSchema = z.object({
  auths: z
    .record(
      z.string(),
      z.object({
        auth: z.string().optional(),
        username: z.string().optional(),
        password: z.string().optional(),
      }),
    )
    .optional(),
});

/** Tools write the bare host, or an address such as `https://host/v1/`. */
const hostOf = (key: string): string => key.replace(/^https?:\/\//, '').replace(/\/.*$/, '');

const decode = (auth: string): Credentials | undefined => {
  const text = Buffer.from(auth, 'base64').toString('utf8');
  const colon = text.indexOf(':');
  return colon < 0 ? undefined : { username: text.slice(0, colon), password: text.slice(colon + 1) };
};

const readConfig = async (path: string): Promise<z.infer<typeof configSchema>> => {
  try {
    return configSchema.parse(await readJson(path));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return {};
    const reason = error instanceof z.ZodError ? 'it does not have the expected fields' : String(error);
    throw new AppShotError('KEY_UNUSABLE', { path, reason }, { cause: error });
  }
};

/** What is kept for `host` (with its port); undefined when nothing is. Throws KEY_UNUSABLE when the file cannot be read. */
export const readCredentials = async (
  host: string,
  environment: NodeJS.ProcessEnv = process.env,
): Promise<Credentials | undefined> => {
  const directory = environment['DOCKER_CONFIG'] ?? join(environment['HOME'] ?? homedir(), '.docker');
  const { auths = {} } = await readConfig(join(directory, 'config.json'));
  const found = Object.entries(auths).find(([key]) => hostOf(key) === host)?.[1];
  if (found?.auth !== undefined && found.auth !== '') return decode(found.auth);
  if (found?.username === undefined || found.password === undefined) return undefined;
  return { username: found.username, password: found.password };
};
