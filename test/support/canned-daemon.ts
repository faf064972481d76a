/** The command as a user types it, against a server that gives canned answers over a real socket and remembers what it was asked. */
import { execFile, spawn } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buffer, text } from 'node:stream/consumers';
import { VERSION, VERSION_HEADER } from '../../src/api/index.ts';

const appshot = join(import.meta.dirname, '../../bin/appshot');

export const web = {
  aid: '01J',
  name: 'web',
  state: 'running',
  address: '10.10.0.2',
  hostname: 'web',
  createdAt: '',
  since: '',
  memory: null,
};
export const missing = {
  error: { code: 'APP_NOT_FOUND', message: 'no application is called db', hint: 'look', details: {} },
};

interface Canned {
  readonly status?: number;
  /** JSON, or lines of it. */
  readonly body: unknown;
}
/** What is answered, by method and path; anything else is missing. */
export type Answers = Readonly<Record<string, Canned | ((body: string) => Canned)>>;

interface Outcome {
  readonly code: number | string | null | undefined;
  readonly stdout: string;
  readonly stderr: string;
}

export class CannedDaemon {
  readonly asked: { path: string; body: string }[] = [];
  readonly #answers: Answers;
  readonly #directory: string;
  readonly #server: Server;

  private constructor(answers: Answers, directory: string) {
    this.#answers = answers;
    this.#directory = directory;
    this.#server = createServer((request, response) => void this.#answer(request, response));
  }

  static async start(answers: Answers): Promise<CannedDaemon> {
    const daemon = new CannedDaemon(answers, await mkdtemp(join(tmpdir(), 'appshot-cli-')));
    const socket = join(daemon.#directory, 'appshot.sock');
    await new Promise<void>((resolve) => daemon.#server.listen(socket, resolve));
    return daemon;
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
    await rm(this.#directory, { recursive: true });
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const body = await text(request);
    const path = `${request.method} ${request.url}`;
    this.asked.push({ path, body });
    const found = this.#answers[path] ?? { status: 404, body: missing };
    const { status = 200, body: answer } = typeof found === 'function' ? found(body) : found;
    response.setHeader(VERSION_HEADER, VERSION);
    response.writeHead(status).end(typeof answer === 'string' ? answer : JSON.stringify(answer));
  }

  get #environment(): NodeJS.ProcessEnv {
    return { ...process.env, APPSHOT_RUN_DIR: this.#directory };
  }

  run(...words: string[]): Promise<Outcome> {
    return new Promise((resolve) => {
      execFile(appshot, words, { env: this.#environment }, (error, stdout, stderr) =>
        resolve({ code: error?.code ?? 0, stdout, stderr }),
      );
    });
  }

  /** As `run`, with a file for standard input and bytes for output. */
  async runWithInput(bytes: Buffer, ...words: string[]) {
    const path = join(this.#directory, 'input');
    await writeFile(path, bytes);
    const input = openSync(path, 'r');
    const child = spawn(appshot, words, { env: this.#environment, stdio: [input, 'pipe', 'pipe'] });
    closeSync(input);
    const code = new Promise((resolve) => child.once('close', resolve));
    const [stdout, stderr] = await Promise.all([buffer(child.stdout!), text(child.stderr!)]);
    return { code: await code, stdout, stderr };
  }
}
