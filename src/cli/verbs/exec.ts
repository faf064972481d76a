/**
 * `appshot exec`: a program inside a running application, with its output as it comes and its exit code.
 *
 * Standard input is passed on, up to 1 MiB, when it is a file or a pipe of a shell. A program that starts this one often leaves
 * it a socket that it never closes: that is waited for only with `--interactive`.
 */
import { once } from 'node:events';
import { fstatSync } from 'node:fs';
import { constants } from 'node:os';
import type { Command } from 'commander';
import type { ExecFrame } from '../../api/index.ts';
import { AppShotError, sanitiseText } from '../../common/index.ts';
import { commandOf } from '../command-words.ts';
import { collect } from '../numbers.ts';
import { printJson } from '../output.ts';
import { readAssignments } from '../variables.ts';
import { addVerb, connect, globalsOf } from '../verb.ts';

interface ExecOptions {
  readonly env?: string[];
  readonly interactive?: boolean;
  readonly user?: string;
  readonly workdir?: string;
}

const hasInput = (): boolean => {
  try {
    const status = fstatSync(0);
    return status.isFile() || status.isFIFO();
  } catch {
    return false;
  }
};

const readInput = async (limit: number): Promise<string> => {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of process.stdin as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > limit)
      throw new AppShotError('USAGE', { reason: `standard input is longer than ${limit} bytes` });
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('base64');
};

/** Writes what the program wrote: as it is to a file, without control characters to a terminal. */
const writerTo = (stream: NodeJS.WriteStream): ((data: Buffer) => Promise<void>) => {
  const decoder = new TextDecoder();
  return async (data) => {
    const output = stream.isTTY ? sanitiseText(decoder.decode(data, { stream: true })) : data;
    if (!stream.write(output)) await once(stream, 'drain');
  };
};

/** As a shell tells it: the exit code, or 128 and the number of the signal. */
export const exitCodeOf = ({ code, signal }: Extract<ExecFrame, { type: 'exit' }>): number => {
  const signals: Readonly<Record<string, number>> = constants.signals;
  return code ?? 128 + (signals[signal ?? ''] ?? 0);
};

const follow = async (frames: AsyncIterable<ExecFrame>, json: boolean): Promise<number> => {
  const writers = { stdout: writerTo(process.stdout), stderr: writerTo(process.stderr) };
  let exitCode = 1;
  for await (const frame of frames) {
    if (json) printJson(frame);
    if (frame.type === 'exit') exitCode = exitCodeOf(frame);
    else if (!json) await writers[frame.type](Buffer.from(frame.data, 'base64'));
  }
  return exitCode;
};

const toRequest = (options: ExecOptions, words: string[]) => ({
  command: commandOf(words),
  environment: readAssignments(options.env ?? []),
  ...(options.user === undefined ? {} : { user: options.user }),
  ...(options.workdir === undefined ? {} : { workingDirectory: options.workdir }),
});

export const addExecVerb = (program: Command): void => {
  addVerb(program, {
    usage: 'exec <app> <command...>',
    does: 'run a program inside a running application; ends with its exit code',
    example: 'appshot exec web -- redis-cli ping\nappshot exec web -- sh -c "cat > /tmp/x" < file',
  })
    .option('-e, --env <K=V>', 'a variable of its environment (repeatable)', collect)
    .option('-i, --interactive', 'wait for all of standard input, whatever it is')
    .option('-u, --user <user>', 'name, name:group, uid or uid:gid')
    .option('-w, --workdir <dir>', 'its working directory inside the application')
    .passThroughOptions()
    .action(async (app: string, words: string[], options: ExecOptions, command: Command) => {
      const globals = globalsOf(command);
      const request = toRequest(options, words);
      const { MAX_EXEC_INPUT } = await import('../../api/client.ts');
      const isForwarded = options.interactive === true || hasInput();
      const input = isForwarded ? { input: await readInput(MAX_EXEC_INPUT) } : {};
      const client = await connect(globals);
      process.exitCode = await follow(client.exec(app, { ...request, ...input }), globals.json);
    });
};
