/** The verb `map`: what an application calls its resources and what this machine calls them, from either side. */
import { Argument, Option } from 'commander';
import type { Command } from 'commander';
import type { FoundTranslation, MapView, Translation, TranslationType } from '../../api/index.ts';
import { sanitiseLine } from '../../common/index.ts';
import { formatTable, print, printJson } from '../output.ts';
import { addVerb, connect, globalsOf } from '../verb.ts';

/** Named here too, because loading the schemas takes longer than most verbs do. */
const TYPES = [
  'pid',
  'tid',
  'pgid',
  'sid',
  'ipc',
  'fd',
  'address',
  'hostname',
  'port',
  'path',
  'link',
  'clock',
] satisfies TranslationType[];

const HEADINGS = ['TYPE', 'VIRTUAL', 'ALSO', 'SYSTEM', 'SHARED', 'SINCE', 'NOTE'];

const cells = ({ type, virtual, also, system, objects, since, note }: Translation): string[] => [
  type,
  virtual,
  also.join(' '),
  system ?? '-',
  objects.join(' '),
  since,
  note,
];

/** Columns in which no row has anything are left out. */
const formatNarrow = (headings: readonly string[], rows: readonly (readonly string[])[]): string => {
  const kept = headings.map((_, column) => rows.some((row) => row[column] !== ''));
  const keep = (row: readonly string[]): string[] => row.filter((_, column) => kept[column]);
  return formatTable(keep(headings), rows.map(keep));
};

export const formatMap = ({ name, aid, state, snapshot, translations }: MapView): string => {
  const node = translations[0]?.node ?? '';
  const from = snapshot === null ? '' : `; as in its snapshot ${snapshot}`;
  const head = sanitiseLine(`${name} (${aid}), ${state}${node === '' ? '' : ` on ${node}`}${from}`);
  return `${head}\n\n${formatNarrow(HEADINGS, translations.map(cells))}`;
};

export const formatFound = (found: readonly FoundTranslation[]): string =>
  formatNarrow(
    ['NAME', 'AID', ...HEADINGS],
    found.map((one) => [one.name, one.aid, ...cells(one)]),
  );

interface MapOptions {
  readonly type?: TranslationType;
  readonly virtual?: string;
  readonly system?: string;
}

const mapApp = async (app: string, { type, virtual }: MapOptions, command: Command): Promise<void> => {
  const globals = globalsOf(command);
  const view = await (await connect(globals)).map(app, { type, virtual });
  if (globals.json) printJson(view);
  else print(formatMap(view));
  if (virtual !== undefined && view.translations.length === 0) process.exitCode = 1;
};

const findSystem = async (system: string, command: Command): Promise<void> => {
  const globals = globalsOf(command);
  const found = await (await connect(globals)).findSystem(system);
  if (globals.json) printJson(found);
  else print(found.length === 0 ? sanitiseLine(`no application has ${system}`) : formatFound(found));
  if (found.length === 0) process.exitCode = 1;
};

export const addMapVerb = (program: Command): void => {
  const verb = addVerb(program, {
    usage: 'map',
    does: 'translate IDs: what an application calls something, and what this machine calls it',
    example:
      'appshot map web --type pid\nappshot map web --virtual port:tcp:0.0.0.0:80\nappshot map --system pid:4711',
  });
  verb
    .addArgument(new Argument('[app]', 'name or AID'))
    .addOption(new Option('--type <type>', 'only IDs of this type').choices(TYPES))
    .option('--virtual <type:id>', 'only what the application calls this; fails when there is none')
    .option('--system <type:id>', 'which applications have something of this machine; fails when none has')
    .action((app: string | undefined, options: MapOptions, command: Command) => {
      const { system } = options;
      if (app !== undefined && system === undefined) return mapApp(app, options, command);
      const isAlone = app === undefined && options.type === undefined && options.virtual === undefined;
      if (system !== undefined && isAlone) return findSystem(system, command);
      return command.error('error: name an application, or give --system by itself');
    });
};
