/**
 * Mounts, mostly through the descriptor-based interface: a mount is made detached, as a descriptor, and takes its place
 * in a tree with `moveMount`. A detached mount that is closed without having been moved disappears. Descriptors
 * belong to the caller.
 */
import { AT_FDCWD, KernelError, O_CLOEXEC, about, bind, close, isErrno, withFd } from './sys.ts';

const FSOPEN_CLOEXEC = 1;
const FSMOUNT_CLOEXEC = 1;
const FSCONFIG_SET_FLAG = 0;
const FSCONFIG_SET_STRING = 1;
const FSCONFIG_CMD_CREATE = 6;
const OPEN_TREE_CLONE = 1;
const AT_EMPTY_PATH = 0x1000;
const AT_RECURSIVE = 0x8000;
const MOVE_MOUNT_F_EMPTY_PATH = 4;
const MOUNT_ATTR_RDONLY = 1n;
const MOUNT_ATTR_SIZE = 32;
const MNT_DETACH = 2;
/** fsconfig() takes strings of up to 255 bytes. */
const LONGEST_VALUE = 255;

const fsopen = bind('fsopen', ['str', 'uint']);
const fsconfig = bind('fsconfig', ['int', 'uint', 'str', 'str', 'int']);
const fsmount = bind('fsmount', ['int', 'uint', 'uint']);
const readMessage = bind('read', ['int', 'void *', 'ulong'], 'long');
const openTree = bind('open_tree', ['int', 'str', 'uint']);
const mountSetattr = bind('mount_setattr', ['int', 'str', 'uint', 'void *', 'ulong']);
const moveMountCall = bind('move_mount', ['int', 'str', 'int', 'str', 'uint']);
const mountCall = bind('mount', ['str', 'str', 'str', 'ulong', 'str']);
const umount2 = bind('umount2', ['str', 'int']);
const lsetxattr = bind('lsetxattr', ['str', 'str', 'str', 'ulong', 'int']);

/** What the kernel says about the last failure on a file system context: lines such as `e overlay: ...`. */
const contextMessages = (context: number): string => {
  const buffer = Buffer.alloc(1024);
  const lines: string[] = [];
  try {
    for (;;) lines.push(buffer.toString('utf8', 0, readMessage(context, buffer, buffer.length)).trim());
  } catch (error) {
    // ENODATA ends the list. Any other failure must not hide the one being reported.
    if (!(error instanceof KernelError)) throw error;
  }
  return lines.join('; ');
};

/** A new detached mount of `type` with these options, in order; of what is no disk the source is only a name. */
export const makeMount = (
  type: string,
  options: readonly (readonly [string, string])[],
  { source = type, readOnly = false }: { source?: string; readOnly?: boolean } = {},
): number =>
  withFd(fsopen(type, FSOPEN_CLOEXEC), (context) => {
    const applied: string[] = [];
    try {
      if (readOnly) fsconfig(context, FSCONFIG_SET_FLAG, 'ro', null, 0);
      for (const [key, value] of [['source', source] as const, ...options]) {
        applied.push(`${key}=${value}`);
        fsconfig(context, FSCONFIG_SET_STRING, key, value, 0);
      }
      fsconfig(context, FSCONFIG_CMD_CREATE, null, null, 0);
      return fsmount(context, FSMOUNT_CLOEXEC, 0);
    } catch (error) {
      if (!(error instanceof KernelError)) throw error;
      const what = `${type} with ${applied.join(', ')}`;
      throw new KernelError(
        error.call,
        error.code,
        [what, contextMessages(context)].filter(Boolean).join(': '),
      );
    }
  });

const escapeOverlayPath = (path: string): string => path.replace(/[\\:]/g, (found) => `\\${found}`);

/** The lower directories as one option, or one by one (unescaped then) where the kernel's limit on the length demands it. */
const lowerOptions = (lower: readonly string[]): (readonly [string, string])[] => {
  const joined = lower.map(escapeOverlayPath).join(':');
  if (Buffer.byteLength(joined) <= LONGEST_VALUE) return [['lowerdir', joined]];
  return lower.map((path) => ['lowerdir+', path] as const);
};

export interface OverlayOptions {
  /** Topmost first. A path takes 255 bytes at most; lists that are longer in all need Linux 6.7. */
  readonly lower: readonly string[];
  readonly upper: string;
  /** An empty directory on the file system of `upper`. */
  readonly work: string;
  /** Lets files be opened by handle, as saving a watch on one needs; the upper directory then belongs to one mount at a time. */
  readonly handles?: boolean;
}

/** A detached overlay mount. Throws `KernelError` with the kernel's explanation, where it gives one. */
export const overlay = ({ lower, upper, work, handles = false }: OverlayOptions): number =>
  makeMount('overlay', [
    ...lowerOptions(lower),
    ['upperdir', escapeOverlayPath(upper)],
    ['workdir', escapeOverlayPath(work)],
    // An upper layer that came from elsewhere must not say where in the lower one its directories lie.
    ['redirect_dir', 'nofollow'],
    ['metacopy', 'off'],
    ...(handles
      ? ([
          ['index', 'on'],
          ['nfs_export', 'on'],
        ] as const)
      : []),
  ]);

export interface TmpfsOptions {
  /** In bytes; without it, half of the machine's memory. */
  readonly size?: number;
  /** Permissions of its root, such as 0o755; without it 0o1777. */
  readonly mode?: number;
}

/** A detached, empty tmpfs. */
export const tmpfs = ({ size, mode }: TmpfsOptions = {}): number =>
  makeMount('tmpfs', [
    ...(size === undefined ? [] : [['size', String(size)] as const]),
    ...(mode === undefined ? [] : [['mode', mode.toString(8)] as const]),
  ]);

const makeReadOnly = (tree: number, recursive: boolean): void => {
  const attributes = Buffer.alloc(MOUNT_ATTR_SIZE);
  attributes.writeBigUInt64LE(MOUNT_ATTR_RDONLY, 0);
  mountSetattr(tree, '', AT_EMPTY_PATH | (recursive ? AT_RECURSIVE : 0), attributes, attributes.length);
};

export interface CloneTreeOptions {
  /** With the mounts below `path`. */
  readonly recursive?: boolean;
  readonly readOnly?: boolean;
}

/** A detached bind mount of `path` (a directory or a file) as the calling thread sees it. */
export const cloneTree = (
  path: string,
  { recursive = false, readOnly = false }: CloneTreeOptions = {},
): number => {
  const flags = OPEN_TREE_CLONE | O_CLOEXEC | (recursive ? AT_RECURSIVE : 0);
  const tree = about(path, () => openTree(AT_FDCWD, path, flags));
  try {
    if (readOnly) makeReadOnly(tree, recursive);
    return tree;
  } catch (error) {
    close(tree);
    throw error;
  }
};

/** Puts a detached mount on `path`, which must lie in the calling thread's mount namespace. The descriptor stays open. */
export const moveMount = (fd: number, path: string): void =>
  void about(path, () => moveMountCall(fd, '', AT_FDCWD, path, MOVE_MOUNT_F_EMPTY_PATH));

/** mount(2), for what the descriptors do not do: `flags` are MS_* bits, such as those that change propagation. */
export const mountFilesystem = (
  type: string | null,
  source: string | null,
  target: string,
  flags = 0,
  data: string | null = null,
): void => void about(target, () => mountCall(source, target, type, flags, data));

/** Takes the mount off `target`; it goes for good when its last user does. Nothing happens where nothing is mounted. */
export const umount = (target: string): void => {
  try {
    about(target, () => umount2(target, MNT_DETACH));
  } catch (error) {
    if (!isErrno(error, 'EINVAL', 'ENOENT')) throw error;
  }
};

/** Marks a directory of an upper layer as opaque: what the layers below hold under its name is hidden. */
export const setOpaque = (directory: string): void =>
  void about(directory, () => lsetxattr(directory, 'trusted.overlay.opaque', 'y', 1, 0));
