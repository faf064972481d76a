/**
 * The firewall through libnftables, in its JSON form (libnftables-json(5)). All commands of one `run` are one transaction:
 * all take effect, or none. The library is loaded on first use, so that a machine without it can still say so.
 */
import { KernelError, errnoText, loadLibrary } from './sys.ts';
import { withoutSignals } from './signals.ts';
import type { CFunction } from './sys.ts';

const NFT_CTX_DEFAULT = 0;
const NFT_CTX_OUTPUT_JSON = 0x10;
const EINVAL = 22;
/** EPERM, ENOENT, EBUSY, EEXIST, EOPNOTSUPP: what the kernel answers to commands that are well formed. */
const KERNEL_ANSWERS = [1, 2, 16, 17, 95];

/** An opaque pointer. */
type Context = bigint;

interface Library {
  readonly newContext: CFunction<Context | null>;
  readonly freeContext: CFunction<void>;
  readonly setOutputFlags: CFunction<void>;
  readonly bufferOutput: CFunction;
  readonly bufferError: CFunction;
  readonly run: CFunction;
  readonly output: CFunction<string>;
  readonly error: CFunction<string>;
}

const load = (): Library => {
  const declare = loadLibrary('libnftables.so.1');
  return {
    newContext: declare('nft_ctx_new', 'void *', ['uint']),
    freeContext: declare('nft_ctx_free', 'void', ['void *']),
    setOutputFlags: declare('nft_ctx_output_set_flags', 'void', ['void *', 'uint']),
    bufferOutput: declare('nft_ctx_buffer_output', 'int', ['void *']),
    bufferError: declare('nft_ctx_buffer_error', 'int', ['void *']),
    run: declare('nft_run_cmd_from_buffer', 'int', ['void *', 'str']),
    output: declare('nft_ctx_get_output_buffer', 'str', ['void *']),
    error: declare('nft_ctx_get_error_buffer', 'str', ['void *']),
  };
};

/** The library reports the kernel's answer as text alone; anything unknown counts as a mistake in the command. */
const codeOf = (text: string): number =>
  KERNEL_ANSWERS.find((code) => text.includes(errnoText(code))) ?? EINVAL;

let loaded: Library | undefined;
const library = (): Library => (loaded ??= load());

/** A command of libnftables-json(5), such as `{ add: { table: { family: 'inet', name: 'x' } } }`. */
export type NftCommand = Readonly<Record<string, unknown>>;

/** What a listing gives: objects such as `{ rule: {...} }`. */
export type NftObject = Readonly<Record<string, unknown>>;

/** A connection to the firewall of the network namespace in which it is made and used. */
export class Nftables implements Disposable {
  readonly #context: Context;
  #open = true;

  /** Whether the library can be used on this machine. Never throws. */
  static available(): boolean {
    try {
      library();
      return true;
    } catch {
      return false;
    }
  }

  /** Throws when the library is absent. */
  constructor() {
    const { newContext, setOutputFlags, bufferOutput, bufferError } = library();
    const context = newContext(NFT_CTX_DEFAULT);
    if (context === null) throw new KernelError('nft_ctx_new', EINVAL);
    this.#context = context;
    setOutputFlags(context, NFT_CTX_OUTPUT_JSON);
    bufferOutput(context);
    bufferError(context);
  }

  /** Runs the commands as one transaction and gives what those that list something found. Throws `KernelError`. */
  run(commands: readonly NftCommand[]): NftObject[] {
    if (!this.#open) throw new KernelError('nft', EINVAL, 'the connection is closed');
    const { run, output, error } = library();
    // It waits for the kernel's answers with select(), and takes a signal then, such as a child's end, for a refusal.
    const request = JSON.stringify({ nftables: commands });
    const failed = withoutSignals(() => run(this.#context, request)) !== 0;
    const text = output(this.#context);
    if (failed) {
      const said = error(this.#context).trim();
      throw new KernelError('nft', codeOf(said), said);
    }
    // Each command that lists something prints a document of its own, on one line.
    const documents = text.split('\n').filter((line) => line !== '');
    return documents
      .flatMap((document) => (JSON.parse(document) as { nftables: NftObject[] }).nftables)
      .filter((found) => !('metainfo' in found));
  }

  close(): void {
    if (this.#open) library().freeContext(this.#context);
    this.#open = false;
  }

  [Symbol.dispose](): void {
    this.close();
  }
}
