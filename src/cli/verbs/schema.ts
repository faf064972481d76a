/** `appshot schema`: what editors check an `appshot.yaml` with. Needs no daemon. */
import type { Command } from 'commander';
import { print } from '../output.ts';
import { addVerb } from '../verb.ts';

export const addSchemaVerb = (program: Command): void => {
  addVerb(program, {
    usage: 'schema',
    does: 'print the JSON schema of appshot.yaml, for editors',
    example: 'appshot schema > appshot.schema.json',
  }).action(async () => {
    const { readConfigSchema } = await import('../../api/index.ts');
    print(JSON.stringify(await readConfigSchema(), null, 2));
  });
};
