/** Writes docs/appshot.schema.json, which says to editors what the grammar of `appshot.yaml` says to `appshot run`. */
import { writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { format, resolveConfig } from 'prettier';
import { readConfigSchema } from '../src/api/index.ts';

const path = fileURLToPath(new URL('../docs/appshot.schema.json', import.meta.url));
const options = { ...(await resolveConfig(path)), filepath: path };
await writeFile(path, await format(JSON.stringify(await readConfigSchema()), options));
