/**
 * The engine that saves: inside an environment's PID, mount, network and UTS namespaces but outside its user namespace,
 * since System V shared memory can only be read from there. Spawned for each dump, before anything is frozen.
 */
import type { EngineChannel } from '../criu/index.ts';
import { start } from '../exec/index.ts';
import type { Started } from '../exec/index.ts';

/** Where the images' and the log's directories are for the engine (stdio of its parent). */
export const DUMP_DESCRIPTORS = { images: 3, work: 4 } as const;
const HEADER = 4;

export interface OutsideEngine {
  readonly channel: EngineChannel;
  readonly started: Started;
}

/** Splits a stream of length-framed messages. */
const receiveFrames = (started: Started, handler: (message: Uint8Array | undefined) => void): void => {
  let received: Buffer = Buffer.alloc(0);
  started.stdout?.on('data', (bytes: Buffer) => {
    received = Buffer.concat([received, bytes]);
    while (received.length >= HEADER && received.length >= HEADER + received.readUInt32LE(0)) {
      const end = HEADER + received.readUInt32LE(0);
      handler(received.subarray(HEADER, end));
      received = received.subarray(end);
    }
  });
  started.stdout?.once('end', () => handler(undefined));
};

/** Starts one for the environment whose PID 1 is `pid`; `engine` is the command as that environment sees it. */
export const startOutsideEngine = async (
  init: string,
  pid: number,
  engine: readonly string[],
  directories: { images: number; work: number },
): Promise<OutsideEngine> => {
  const started = await start(init, ['swrk', String(pid), ...engine], {
    stdio: ['pipe', 'pipe', 'inherit', directories.images, directories.work],
    env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', XDG_RUNTIME_DIR: '/proc/1/fd/3/dump' },
  });
  started.stdin?.on('error', () => undefined);
  return {
    started,
    channel: {
      send: (message) => {
        const length = Buffer.alloc(HEADER);
        length.writeUInt32LE(message.length);
        started.stdin?.write(Buffer.concat([length, message]));
      },
      receive: (handler) => receiveFrames(started, handler),
    },
  };
};
