/** What can be done with each type of resource in a clone (figure 8), and why nothing else can. */
import type { ResourceClass, ResourceType } from '../../api/index.ts';

interface Possible {
  readonly classes: readonly ResourceClass[];
  readonly reason: string;
}

const only = (reason: string, ...classes: readonly ResourceClass[]): Possible => ({ classes, reason });
const unique = only('it is unique in the network', 'allocate');
const files = only(
  'each application sees its paths for itself',
  'shared',
  'copy-on-write',
  'duplicate',
  'virtualize',
  'plain',
);
const keyed = only('each clone has its keys for itself', 'shared', 'duplicate', 'virtualize');
const unnamed = only('nothing outside can name it', 'shared', 'duplicate', 'plain');
const socket = only('each clone has a network of its own', 'shared', 'duplicate', 'virtualize', 'plain');

/** A rule may say of a resource what is done with it anyway, so what the standard criteria can mark a type with is always here. */
const POSSIBLE: Readonly<Record<ResourceType, Possible>> = {
  aid: unique,
  address: unique,
  hostname: unique,
  environment: only('each process has its variables in its own memory', 'copy-on-write', 'duplicate'),
  process: only('each clone has its PIDs for itself', 'virtualize'),
  memory: only('what one clone writes must not reach another', 'copy-on-write', 'duplicate'),
  'shared-memory': only(
    'it is for the processes of one clone alone',
    'shared',
    'copy-on-write',
    'duplicate',
    'virtualize',
  ),
  semaphore: keyed,
  'message-queue': keyed,
  file: files,
  directory: files,
  log: only('each clone has logs of its own, which begin empty', 'virtualize'),
  volume: only('it belongs to the machine, which mounts it into each clone as it is', 'shared'),
  link: only("its path stays, and its target is each application's own", 'virtualize'),
  device: only('what a device holds cannot be copied', 'shared', 'plain'),
  terminal: only('each clone has its numbers for itself', 'duplicate', 'virtualize'),
  pipe: unnamed,
  'unix-socket': socket,
  port: only('its number is known outside, and each clone has an address for it', 'multiplex', 'virtualize'),
  connection: only('its other end knows one application alone', 'shared', 'duplicate', 'virtualize'),
  socket,
  'kernel-object': unnamed,
};

/** Why a type cannot have a class; undefined when it can. */
export const findFlawOfClass = (type: ResourceType, chosen: ResourceClass): string | undefined => {
  const { classes, reason } = POSSIBLE[type];
  if (classes.includes(chosen)) return undefined;
  const list = classes
    .map((name) => name.toUpperCase())
    .join(', ')
    .replace(/, (?!.*,)/, ' or ');
  return `${type.toUpperCase()} can only be ${list}, not ${chosen.toUpperCase()}: ${reason}`;
};
