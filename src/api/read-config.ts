import type { ConfigOptions } from './config.ts';
import type { ChainSpec } from './schemas.ts';

/**
 * `parseConfig`, loaded when it is needed: the daemon never reads a file, and most commands do not.
 *
 * @throws AppShotError BAD_CONFIG with file, line, column, dotted field and reason
 */
export const readConfig = async (text: string, options: ConfigOptions): Promise<ChainSpec> => {
  const { parseConfig } = await import('./config.ts');
  return parseConfig(text, options);
};

/** JSON Schema (draft 7) of an `appshot.yaml`, for editors. */
export const readConfigSchema = async (): Promise<object> => {
  const { configSchema } = await import('./config/json-schema.ts');
  return configSchema();
};
