/**
 * What AppShot is compared with: the same CRIU as a command, as container runtimes use it. The program is the first process of fresh PID, network,
 * IPC, UTS and mount namespaces, which CRIU saves and makes again; it is reached over a veth to a bridge, as an application is.
 */
import { mkdirSync, readFileSync, rmSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { defaultEngineDir, loadEngine } from '../src/criu/index.ts';
import type { Dialogue } from '../test/support/dialogue.ts';
import { eventually } from '../test/support/eventually.ts';
import type { Lab } from '../test/support/lab.ts';
import type { Inside } from '../test/support/network-namespace.ts';
import { attached, beside, BRIDGE, makeBridge } from './bare-bridge.ts';
import { ask } from './request.ts';
import type { Question } from './request.ts';

export interface PlainCriu {
  readonly to: Inside;
  /** Milliseconds that `criu dump` to memory takes, with the end of the program. */
  dump(): Promise<number>;
  /** Milliseconds that `criu restore --restore-detached` takes. */
  restore(): Promise<number>;
  close(): Promise<void>;
}

const LINK = 'plain0';
const ADDRESS = '10.98.0.2';
/** On the tmpfs of the shell's mount namespace. */
const IMAGES = '/run/images';
const PID_FILE = 'pid';
const SAVE = ['--tcp-established', '--file-locks', '--manage-cgroups=ignore'];

const gone = (pid: number): Promise<void> =>
  eventually(
    async () => {
      const there = await readFile(`/proc/${pid}/stat`).then(
        () => true,
        () => false,
      );
      if (there) throw new Error(`process ${pid} does not end`);
    },
    10_000,
    1,
  );

class Container implements PlainCriu {
  readonly to: Inside;
  readonly #lab: Lab;
  readonly #shell: Dialogue;
  readonly #first: Dialogue;
  readonly #root: string;
  /** The same directory, as this process finds it. */
  readonly #images: string;
  readonly #engine = loadEngine(defaultEngineDir()).command;
  #pid: number;

  constructor(
    lab: Lab,
    shell: Dialogue,
    first: Dialogue,
    place: { root: string; images: string; pid: number; to: Inside },
  ) {
    this.#lab = lab;
    this.#shell = shell;
    this.#first = first;
    this.#root = place.root;
    this.#images = place.images;
    this.#pid = place.pid;
    this.to = place.to;
  }

  /** Runs CRIU to its end; milliseconds. Throws with the end of its log. */
  async #criu(verb: 'dump' | 'restore', options: readonly string[]): Promise<number> {
    const log = `${verb}.log`;
    const began = performance.now();
    this.#shell.tell(
      [...this.#engine, verb, '--images-dir', IMAGES, '--log-file', log, ...SAVE, ...options].join(' '),
    );
    const [, code] = await this.#shell.hear(/^exit (\d+)$/);
    const ms = performance.now() - began;
    if (code === '0') return ms;
    const end = readFileSync(join(this.#images, log), 'utf8').trimEnd().split('\n').slice(-10).join('\n');
    throw new Error(`plain criu ${verb} failed with exit code ${code}:\n${end}`);
  }

  /** The program's end of the veth goes some time after the program; its name is needed at once. */
  async #detach(): Promise<void> {
    await gone(this.#pid);
    await this.#lab.exec('ip', ['link', 'delete', LINK], { acceptExit: [0, 1] });
  }

  async dump(): Promise<number> {
    rmSync(this.#images, { recursive: true, force: true });
    mkdirSync(this.#images);
    const ms = await this.#criu('dump', ['--tree', String(this.#pid), '--network-lock', 'nftables']);
    await this.#detach();
    return ms;
  }

  async restore(): Promise<number> {
    const pidFile = join(this.#images, PID_FILE);
    rmSync(pidFile, { force: true });
    const network = ['--external', `veth[eth0]:${LINK}@${BRIDGE}`];
    const ms = await this.#criu('restore', [
      '--restore-detached',
      '--pidfile',
      join(IMAGES, PID_FILE),
      '--root',
      this.#root,
      ...network,
    ]);
    this.#pid = Number(readFileSync(pidFile, 'utf8'));
    return ms;
  }

  async close(): Promise<void> {
    process.kill(this.#pid, 'SIGKILL');
    await this.#detach();
    await Promise.all([this.#first.close(), this.#shell.close()]);
  }
}

/** Starts a program in a container and waits until it answers; `name` names its directory. */
export const startPlain = async (
  lab: Lab,
  name: string,
  command: readonly string[],
  port: number,
  question: Question,
): Promise<PlainCriu> => {
  await makeBridge(lab);
  const directory = join(lab.directory, `plain-${name}`);
  const root = join(directory, 'root');
  mkdirSync(root, { recursive: true });
  const shell = await lab.talk('unshare', ['--mount', 'sh', beside('engine-shell.sh'), root]);
  const [, shellPid] = await shell.hear(/^ready (\d+)$/);
  const images = join(`/proc/${shellPid}/root`, IMAGES);
  const pidFile = join(directory, 'first');
  const contained = ['/usr/bin/python3', beside('contain.py'), root, pidFile, ...command];
  const namespaces = ['--pid', '--fork', '--net', '--ipc', '--uts', '--mount'];
  const first = await lab.talk('unshare', [
    ...namespaces,
    ...attached(lab, { link: LINK, address: ADDRESS }, contained),
  ]);
  const to = lab.namespace.inside(ADDRESS, port);
  await eventually(() => ask(to, question));
  return new Container(lab, shell, first, { root, images, to, pid: Number(readFileSync(pidFile, 'utf8')) });
};
