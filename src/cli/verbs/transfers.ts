/**
 * The verbs by which snapshots travel: `export`, `import`, `push`, `pull`. The daemon reads and writes the files; it runs
 * elsewhere, so what the user names is made absolute here.
 */
import { resolve } from 'node:path';
import type { Command } from 'commander';
import type { ImportResult, TransferResult } from '../../api/index.ts';
import { formatSize } from '../../common/index.ts';
import { readAppAt } from '../app-at.ts';
import { formatMs } from '../numbers.ts';
import { print, printJson } from '../output.ts';
import { withProgress } from '../progress.ts';
import { addVerb, connect, globalsOf } from '../verb.ts';

interface Secret {
  readonly encryptKey?: string;
  readonly decryptKey?: string;
  readonly passphraseFile?: string;
}

interface OutwardOptions extends Secret {
  readonly sign?: string;
}

interface InwardOptions extends Secret {
  readonly name?: string;
  readonly network?: string;
  readonly verify?: string;
  readonly force?: true;
}

interface RegistryOptions {
  readonly plainHttp?: true;
}

const given = <K extends string>(key: K, file: string | undefined) =>
  (file === undefined ? {} : { [key]: resolve(file) }) as { [P in K]?: string };

const toSecret = ({ encryptKey, decryptKey, passphraseFile }: Secret, command: Command) => {
  const key = encryptKey ?? decryptKey;
  if (key !== undefined && passphraseFile !== undefined)
    command.error('error: give a key or a passphrase, not both');
  return { ...given('key', key), ...given('passphraseFile', passphraseFile) };
};

const toOutward = (options: OutwardOptions, command: Command) => ({
  ...given('sign', options.sign),
  ...toSecret(options, command),
});

const toInward = (options: InwardOptions, command: Command) => ({
  ...(options.name === undefined ? {} : { name: options.name }),
  ...(options.network === undefined ? {} : { network: options.network }),
  ...given('verify', options.verify),
  ...toSecret(options, command),
  force: options.force ?? false,
});

const outwardOptions = (command: Command): Command =>
  command
    .option('--sign <file>', 'sign with this private Ed25519 key')
    .option('--encrypt-key <file>', 'encrypt with the key in this file')
    .option('--passphrase-file <file>', 'encrypt with the passphrase in this file');

const inwardOptions = (command: Command): Command =>
  command
    .option('-n, --name <name>', 'name of the application or template (default: its own)')
    .option('--network <name>', 'the network that it belongs to (default: of the name that it had)')
    .option('--verify <file>', 'refuse what is not signed for this public Ed25519 key')
    .option('--decrypt-key <file>', 'decrypt with the key in this file')
    .option('--passphrase-file <file>', 'decrypt with the passphrase in this file')
    .option('--force', 'also where this machine differs in what need not matter');

const registryOption = (command: Command): Command =>
  command.option('--plain-http', 'speak to the registry without TLS');

const tellSize = ({ bytes, transferred, ms }: TransferResult): string =>
  `${formatSize(transferred)} of ${formatSize(bytes)} in ${formatMs(ms)}`;

const tellSent = (result: TransferResult, target: string): string =>
  `${result.snapshot} sent to ${target}, ${tellSize(result)}`;

const tellReceived = (result: ImportResult): string => {
  const what =
    'state' in result ? `${result.name} ${result.state} ${result.address}` : `template ${result.name}`;
  return `${what}, received as ${result.snapshot}, ${tellSize(result)}`;
};

/** Waits for a transfer, and prints what came of it. */
const report = async <T>(
  command: Command,
  label: string,
  work: Promise<T>,
  tell: (result: T) => string,
): Promise<void> => {
  const result = await withProgress(label, work);
  if (globalsOf(command).json) printJson(result);
  else print(tell(result));
};

const addExport = (program: Command): void => {
  const verb = addVerb(program, {
    usage: 'export <app[@snapshot]> <file>',
    does: 'write a snapshot, the latest unless one is named, with all it needs to one file',
    example: 'appshot export web web.appshot --sign key.pem --passphrase-file secret',
  });
  outwardOptions(verb).action(
    async (word: string, path: string, options: OutwardOptions, command: Command) => {
      const { app, ...from } = readAppAt(word);
      const file = resolve(path);
      const request = { file, ...from, ...toOutward(options, command) };
      const client = await connect(globalsOf(command));
      await report(command, `exporting ${app}`, client.export(app, request), (sent) => tellSent(sent, file));
    },
  );
};

const addImport = (program: Command): void => {
  const verb = addVerb(program, {
    usage: 'import <file>',
    does: 'make a sleeping application, or a template, from an exported file',
    example: 'appshot import web.appshot --verify key.pub --passphrase-file secret\nappshot wake web',
  });
  inwardOptions(verb).action(async (path: string, options: InwardOptions, command: Command) => {
    const request = { file: resolve(path), ...toInward(options, command) };
    const client = await connect(globalsOf(command));
    await report(command, `importing ${path}`, client.import(request), tellReceived);
  });
};

const addPush = (program: Command): void => {
  const verb = addVerb(program, {
    usage: 'push <app[@snapshot]> <ref>',
    does: 'send a snapshot, the latest unless one is named, to an OCI registry; only what is missing there travels',
    example: 'appshot push web registry.example:5000/shop/web:monday --sign key.pem',
  });
  registryOption(outwardOptions(verb)).action(
    async (word: string, ref: string, options: OutwardOptions & RegistryOptions, command: Command) => {
      const { app, ...from } = readAppAt(word);
      const { plainHttp = false } = options;
      const request = { ref, plainHttp, ...from, ...toOutward(options, command) };
      const client = await connect(globalsOf(command));
      await report(command, `pushing ${app}`, client.push(app, request), (sent) => tellSent(sent, ref));
    },
  );
};

const addPull = (program: Command): void => {
  const verb = addVerb(program, {
    usage: 'pull <ref>',
    does: 'make a sleeping application, or a template, from an OCI registry; only what is missing here travels',
    example: 'appshot pull registry.example:5000/shop/web:monday --name web --verify key.pub',
  });
  registryOption(inwardOptions(verb)).action(
    async (ref: string, options: InwardOptions & RegistryOptions, command: Command) => {
      const { plainHttp = false } = options;
      const request = { ref, plainHttp, ...toInward(options, command) };
      const client = await connect(globalsOf(command));
      await report(command, `pulling ${ref}`, client.pull(request), tellReceived);
    },
  );
};

/** Templates leave by verbs of their own; they come in by `import` and `pull`, as everything does. */
export const addTemplateTransfers = (group: Command): void => {
  const exporting = addVerb(group, {
    usage: 'export <template> <file>',
    does: 'write a template with all it needs to one file; `appshot import` reads it',
    example: 'appshot template export web web.appshot',
  });
  outwardOptions(exporting).action(
    async (template: string, path: string, options: OutwardOptions, command: Command) => {
      const file = resolve(path);
      const client = await connect(globalsOf(command));
      const work = client.exportTemplate(template, { file, ...toOutward(options, command) });
      await report(command, `exporting ${template}`, work, (sent) => tellSent(sent, file));
    },
  );
  const pushing = addVerb(group, {
    usage: 'push <template> <ref>',
    does: 'send a template to an OCI registry; `appshot pull` fetches it',
    example: 'appshot template push web registry.example:5000/shop/web:warm',
  });
  registryOption(outwardOptions(pushing)).action(
    async (template: string, ref: string, options: OutwardOptions & RegistryOptions, command: Command) => {
      const { plainHttp = false } = options;
      const client = await connect(globalsOf(command));
      const work = client.pushTemplate(template, { ref, plainHttp, ...toOutward(options, command) });
      await report(command, `pushing ${template}`, work, (sent) => tellSent(sent, ref));
    },
  );
};

export const addTransferVerbs = (program: Command): void => {
  addExport(program);
  addImport(program);
  addPush(program);
  addPull(program);
};
