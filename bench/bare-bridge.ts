/** A bridge beside the daemon's, without anything of AppShot's: where programs are reached that AppShot is compared with. */
import { fileURLToPath } from 'node:url';
import type { Lab } from '../test/support/lab.ts';

/** Its addresses, inside the lab, are 10.98.0.0/16; the lab's own is the first. */
export const BRIDGE = 'bare';
const OWN_ADDRESS = '10.98.0.1/16';

/** A program of this directory. */
export const beside = (name: string): string => fileURLToPath(new URL(name, import.meta.url));

/** Makes the bridge; a lab needs it once. */
export const makeBridge = async (lab: Lab): Promise<void> => {
  await lab.exec('ip', ['link', 'add', BRIDGE, 'type', 'bridge']);
  await lab.exec('ip', ['address', 'add', OWN_ADDRESS, 'dev', BRIDGE]);
  await lab.exec('ip', ['link', 'set', BRIDGE, 'up']);
};

export interface Attachment {
  /** Name of the veth's outer end. */
  readonly link: string;
  readonly address: string;
  /** Files by which it joins control groups. */
  readonly cgroups?: readonly string[];
}

/** The arguments that start a command in the network namespace of its own that they are executed in. */
export const attached = (
  lab: Lab,
  { link, address, cgroups = [] }: Attachment,
  command: readonly string[],
): string[] => [
  ...['env', `CGROUPS=${cgroups.join(' ')}`, 'sh', beside('attach.sh')],
  ...[lab.name, BRIDGE, link, `${address}/16`],
  ...command,
];
