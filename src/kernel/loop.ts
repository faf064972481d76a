/**
 * File systems in files: a loop device shows a file as a disk, and lets go of it when nobody has it mounted or open any more.
 * Source: loop(4), linux/loop.h.
 */
import { O_CLOEXEC, about, bind, close, isErrno, openFd, withFd } from './sys.ts';
import { makeMount } from './mounts.ts';

const CONTROL = '/dev/loop-control';
const LOOP_CTL_GET_FREE = 0x4c82;
const LOOP_CONFIGURE = 0x4c0a;
const READ_ONLY = 1;
const AUTOCLEAR = 4;
const O_RDONLY = 0;
const O_RDWR = 2;

/** `struct loop_config`: the file's descriptor, the size of a block, and `struct loop_info64` with its flags. */
const CONFIG_SIZE = 304;
const CONFIG_FLAGS = 8 + 52;
/** Somebody else may take the free device first. */
const ATTEMPTS = 100;

const ioctlNumber = bind('ioctl', ['int', 'ulong', 'long']);
const ioctlBuffer = bind('ioctl', ['int', 'ulong', 'void *']);

const configOf = (file: number, readOnly: boolean): Buffer => {
  const config = Buffer.alloc(CONFIG_SIZE);
  config.writeUInt32LE(file, 0);
  config.writeUInt32LE(AUTOCLEAR | (readOnly ? READ_ONLY : 0), CONFIG_FLAGS);
  return config;
};

/** A free device that shows the file: its descriptor, and its path. */
const attach = (file: number, readOnly: boolean): { device: number; path: string } => {
  const control = about(CONTROL, () => openFd(CONTROL, O_RDWR | O_CLOEXEC));
  return withFd(control, () => {
    for (let attempt = 1; ; attempt += 1) {
      const path = `/dev/loop${ioctlNumber(control, LOOP_CTL_GET_FREE, 0)}`;
      const device = about(path, () => openFd(path, (readOnly ? O_RDONLY : O_RDWR) | O_CLOEXEC));
      try {
        ioctlBuffer(device, LOOP_CONFIGURE, configOf(file, readOnly));
        return { device, path };
      } catch (error) {
        close(device);
        if (!isErrno(error, 'EBUSY') || attempt === ATTEMPTS) throw error;
      }
    }
  });
};

/** A detached mount of the ext4 file system in a file. Throws `KernelError`: ENOENT or ENXIO where there are no loop devices. */
export const mountImage = (path: string, { readOnly = false }: { readOnly?: boolean } = {}): number =>
  withFd(
    about(path, () => openFd(path, (readOnly ? O_RDONLY : O_RDWR) | O_CLOEXEC)),
    (file) => {
      const { device, path: source } = attach(file, readOnly);
      return withFd(device, () => makeMount('ext4', [], { source, readOnly }));
    },
  );
