/** The daemon: wiring, the HTTP API on a Unix socket, events, start-up recovery. */
import { join } from 'node:path';
import { Daemon } from './daemon.ts';
import type { DaemonOptions } from './options.ts';
import { SOCKET_NAME } from './socket.ts';

/** Milliseconds after which a daemon that could not be opened is gone, when it has told why. */
const GIVE_UP_MS = 500;
/** Milliseconds that requests under way get when the daemon ends. */
const LAST_REQUESTS = 5000;

/**
 * Runs a daemon in the foreground, in the network namespace of the caller, until SIGTERM or SIGINT. Prints one line when it
 * answers. Returns the exit code; applications run on.
 */
export const runDaemon = async (options: DaemonOptions): Promise<number> => {
  const daemon = await Daemon.open(options).catch((error: unknown) => {
    // What has been opened until then would keep the process alive; a daemon may end at any moment.
    setTimeout(() => process.exit(), GIVE_UP_MS).unref();
    throw error;
  });
  const ended = Promise.withResolvers<void>();
  // Asking twice must not cut the closing short.
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => ended.resolve());
  process.stdout.write(
    `appshot is ready: ${join(options.runDir, SOCKET_NAME)}, network ${options.network}\n`,
  );
  await ended.promise;
  await daemon.close(LAST_REQUESTS);
  return 0;
};
