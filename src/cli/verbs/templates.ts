/** The verbs of templates: `template create | ls | inspect | rm | export | push`, and `clone`. */
import type { Command } from 'commander';
import type { CloneView, MemoryChoice, TemplateView } from '../../api/index.ts';
import { formatSize, sanitiseLine } from '../../common/index.ts';
import { readAppAt } from '../app-at.ts';
import { changeAll } from '../change-all.ts';
import { memoryOption } from '../memory-option.ts';
import { formatMs, parseNumber } from '../numbers.ts';
import { print, printJson } from '../output.ts';
import { withProgress } from '../progress.ts';
import { addVerb, connect, globalsOf } from '../verb.ts';
import { addTemplateTransfers } from './transfers.ts';

const tellTemplate = ({ name, from, memory }: TemplateView): string =>
  sanitiseLine(
    `template ${name} made from ${from.name}: ${formatSize(memory.layered)} shared by its clones` +
      (memory.copied === 0 ? '' : `, ${formatSize(memory.copied)} copied into each`),
  );

interface CreateOptions {
  readonly from: string;
  readonly rules?: string;
}

const addCreate = (group: Command): void => {
  addVerb(group, {
    usage: 'create <name>',
    does: 'make a template from an application, which goes on',
    example: 'appshot template create web --from shop\nappshot clone web --count 20',
  })
    .requiredOption('--from <app[@snapshot]>', 'what it is now, or one of its snapshots')
    .option('--rules <file>', 'rules for the clones, beside those of the application')
    .action(async (name: string, { from: word, rules }: CreateOptions, command: Command) => {
      const globals = globalsOf(command);
      const { app: from, ...at } = readAppAt(word);
      const { readText } = await import('../variables.ts');
      const own = rules === undefined ? {} : { rules: { file: rules, text: readText(rules) } };
      const body = { name, from, ...at, ...own };
      const client = await connect(globals);
      const made = await withProgress(`making the template ${name}`, client.createTemplate(body));
      if (globals.json) printJson(made);
      else print(tellTemplate(made));
    });
};

const addList = (group: Command): void => {
  addVerb(group, { usage: 'ls', does: 'list templates', example: 'appshot template ls' }).action(
    async (_: unknown, command: Command) => {
      const globals = globalsOf(command);
      const templates = await (await connect(globals)).templates();
      if (globals.json) return printJson(templates);
      const { formatTemplates } = await import('./template-table.ts');
      return print(formatTemplates(templates, Date.now()));
    },
  );
};

const addInspect = (group: Command): void => {
  addVerb(group, {
    usage: 'inspect <template>',
    does: 'show what a template holds, and what becomes of each resource in a clone',
    example: "appshot template inspect web\nappshot template inspect web --json | jq '.resources[].classes'",
  }).action(async (template: string, _: unknown, command: Command) => {
    const globals = globalsOf(command);
    const detail = await (await connect(globals)).inspectTemplate(template);
    if (globals.json) return printJson(detail);
    const { formatTemplate } = await import('./template-table.ts');
    return print(formatTemplate(detail, Date.now()));
  });
};

const addRemove = (group: Command): void => {
  addVerb(group, {
    usage: 'rm <template...>',
    does: 'remove templates of which no clone is left',
    example: 'appshot template rm web',
  }).action((templates: string[], _: unknown, command: Command) =>
    changeAll(templates, command, {
      label: 'removing',
      apply: async (client, template) => {
        await client.removeTemplate(template);
        return { template, removed: true };
      },
      tell: ({ template }) => sanitiseLine(`template ${template} removed`),
    }),
  );
};

interface CloneOptions {
  readonly count?: number;
  readonly name?: string;
  readonly service?: string;
  readonly network?: string;
  readonly memory?: MemoryChoice;
  readonly asleep?: true;
  readonly offline?: true;
}

const tellClone = ({ name, state, address, ms }: CloneView): string =>
  sanitiseLine(`${name} ${state} ${address} in ${formatMs(ms)}`);

const addClone = (program: Command): void => {
  addVerb(program, {
    usage: 'clone <template>',
    does: 'start new applications from a template: all that are asked for, or none',
    example: 'appshot clone web --count 20\nappshot clone web --name web-test',
  })
    .option('-c, --count <n>', 'how many (default: 1)', parseNumber({ min: 1, max: 10_000, whole: true }))
    .option(
      '-n, --name <name>',
      "name of the clone; of several, how their names begin (default: the template's)",
    )
    .option('--service <name>', 'make them instances of a service: they serve what its instances publish')
    .option('--network <name>', "the network that they belong to (default: that of the template's source)")
    .addOption(memoryOption())
    .option('--asleep', 'let each be woken by its first packet')
    .option('--offline', 'write a snapshot of its own for each, which needs the template no more; they sleep')
    .action(async (template: string, options: CloneOptions, command: Command) => {
      const globals = globalsOf(command);
      const { count = 1, name, service, network, memory, asleep = false, offline = false } = options;
      const body = {
        count,
        asleep,
        offline,
        ...(name === undefined ? {} : { name }),
        ...(service === undefined ? {} : { service }),
        ...(network === undefined ? {} : { network }),
        ...(memory === undefined ? {} : { memory }),
      };
      const client = await connect(globals);
      const clones = await withProgress(`cloning ${template}`, client.clone(template, body));
      if (globals.json) printJson(clones);
      else print(clones.map(tellClone).join('\n'));
    });
};

export const addTemplateVerbs = (program: Command): void => {
  const group = program
    .command('template')
    .description('make, list, inspect, remove and send templates, from which clones begin')
    .addHelpText(
      'after',
      '\nExample:\n  appshot template create warm --from web\n  appshot clone warm --count 20',
    );
  addCreate(group);
  addList(group);
  addInspect(group);
  addRemove(group);
  addTemplateTransfers(group);
  addClone(program);
};
