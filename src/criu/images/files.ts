/** What the files of a dump are, by their IDs: what is behind a descriptor and behind a mapping. */
import type { Fields } from '../schema.ts';
import { numberIn, part, textIn } from './access.ts';
import type { Image } from './codec.ts';
import { inetSocket, unixSocket } from './sockets.ts';
import type { SavedSocket } from './sockets.ts';

/** `O_ACCMODE` and `O_WRONLY` of the kernel. */
const ACCESS = 3;
const WRITE_ONLY = 1;

/** Kinds whose name says it all, by their field in a `file_entry`. */
const PLAIN: Readonly<Record<string, string>> = {
  nsf: 'namespace',
  psk: 'packet socket',
  nlsk: 'netlink socket',
  efd: 'eventfd',
  epfd: 'epoll',
  sgfd: 'signalfd',
  tunf: 'tun device',
  tfd: 'timerfd',
  ify: 'inotify',
  ffy: 'fanotify',
  ext: 'external file',
  tty: 'terminal',
  bpf: 'BPF map',
  pidfd: 'pidfd',
};

const socketText = ({ protocol, local, remote, state }: SavedSocket): string =>
  [protocol, local, remote && `to ${remote}`, state].filter(Boolean).join(' ');

export class SavedFiles {
  readonly #files = new Map<number, Fields>();
  /** UNIX sockets by the inode that their peers name. */
  readonly #unix = new Map<number, Fields>();
  readonly #memory = new Map<number, string>();

  /** Of `files.img` and, where a dump has one, `memfd.img`. */
  constructor(images: readonly Image[]) {
    for (const { name, entries } of images)
      for (const { message } of entries)
        if (name === 'memfd.img') this.#memory.set(numberIn(message, 'inodeId'), textIn(message, 'name'));
        else if (name === 'files.img') this.#add(message);
  }

  #add(message: Fields): void {
    this.#files.set(numberIn(message, 'id'), message);
    const socket = part(message, 'usk');
    if (socket) this.#unix.set(numberIn(socket, 'ino'), socket);
  }

  /** All sockets, in the order in which they were saved. */
  get sockets(): SavedSocket[] {
    return [...this.#files.values()].flatMap((file) => this.socket(file) ?? []);
  }

  /** What an entry is as a socket of TCP, UDP or UNIX; undefined for others. */
  socket(file: Fields): SavedSocket | undefined {
    const inet = part(file, 'isk');
    if (inet) return inetSocket(inet);
    const unix = part(file, 'usk');
    return unix && unixSocket(unix, this.#unix.get(numberIn(unix, 'peer')));
  }

  /** As it was saved. */
  entry(id: number): Fields | undefined {
    return this.#files.get(id);
  }

  /** The path of a file or the name of memory that is one; empty when it has none. */
  path(id: number): string {
    const file = this.#files.get(id);
    const memory = part(file, 'memfd');
    if (memory) return `memfd:${this.#memory.get(numberIn(memory, 'inodeId')) ?? ''}`;
    return textIn(part(file, 'reg'), 'name');
  }

  /** What a descriptor is, in a few words that do not change from one restore to the next. */
  text(id: number): string {
    const file = this.#files.get(id);
    if (!file) return 'unknown';
    const path = this.path(id);
    if (path) return path;
    const socket = this.socket(file);
    if (socket) return socketText(socket);
    const pipe = part(file, 'pipe');
    if (pipe) return (numberIn(pipe, 'flags') & ACCESS) === WRITE_ONLY ? 'pipe to write' : 'pipe to read';
    const fifo = part(file, 'fifo');
    if (fifo) return `fifo ${this.path(numberIn(fifo, 'regfId'))}`;
    return Object.entries(PLAIN).find(([field]) => part(file, field))?.[1] ?? 'unknown';
  }
}
