/**
 * The name server: one for all networks, listening on each network's gateway address. Where a question came in tells which network
 * asks, so nobody learns the names of another one.
 *
 * Names of the applications are answered at once, out of what the daemon knows, whether they run or sleep. Any other name goes to the
 * servers outside if the network may reach them, and is refused otherwise.
 */
import { randomInt } from 'node:crypto';
import { KeyedLock } from '../common/index.ts';
import type { Logger } from '../common/index.ts';
import { Forwarder } from './forward.ts';
import { TcpListener, UdpListener } from './listen.ts';
import type { Admission, Answerer } from './listen.ts';
import { readQuery } from './message.ts';
import type { Query, Rcode } from './message.ts';
import { buildReply, fitUdp } from './reply.ts';
import { inZone } from './zone.ts';
import type { NameAnswer, NameQuestion, NameRecord } from './zone.ts';

const PORT = 53;

export interface NameServerOptions {
  /** What a question asked in a network is answered with; called for each, so it must not wait for anything. */
  readonly resolve: (question: NameQuestion, network: string) => NameAnswer;
  /** Whether this address may ask in a network; called for each question by UDP and each connection. */
  readonly mayAsk: (address: string, network: string) => boolean;
  readonly log: Logger;
  /** 53, where resolvers ask, unless given. */
  readonly port?: number;
}

interface Open {
  readonly udp: UdpListener;
  readonly tcp: TcpListener;
  readonly forwarder: Forwarder;
}

/** More would not fit a message; who asks takes a few. */
const MAX_RECORDS = 2000;

/** The same records, beginning anywhere: an asker takes the first. By chance, as askers take turns in patterns of their own. */
const rotated = (records: readonly NameRecord[]): NameRecord[] => {
  const first = randomInt(Math.max(records.length, 1));
  return [...records.slice(first), ...records.slice(0, first)].slice(0, MAX_RECORDS);
};

/** Transfers of zones, which are not for applications. */
const TRANSFERS = new Set(['AXFR', 'IXFR']);

export class NameServer {
  readonly #resolve: NameServerOptions['resolve'];
  readonly #mayAsk: NameServerOptions['mayAsk'];
  readonly #log: Logger;
  readonly #port: number;
  readonly #open = new Map<string, Open>();
  readonly #turns = new KeyedLock();

  constructor({ resolve, mayAsk, log, port = PORT }: NameServerOptions) {
    this.#resolve = resolve;
    this.#mayAsk = mayAsk;
    this.#log = log;
    this.#port = port;
  }

  /**
   * Begins to answer for a network on its gateway's address, or begins anew with another `forwardTo`: the addresses of the servers that
   * other names are asked of, the first two of them, with a port after a colon where it is not 53. Without any, other names are refused.
   * Fails with `NAMES_PORT_TAKEN`, or the kernel's refusal; nothing listens then.
   */
  open(
    network: string,
    address: string,
    { forwardTo }: { readonly forwardTo: readonly string[] },
  ): Promise<void> {
    return this.#turns.run(network, 'open', async () => {
      await this.#shut(network);
      const forwarder = new Forwarder(forwardTo);
      const answer = this.#answererOf(network, forwarder);
      const place = { network, address, port: this.#port };
      const mayAsk = this.#admissionTo(network);
      const [udp, tcp] = [new UdpListener(answer, mayAsk), new TcpListener(answer, mayAsk)];
      await udp.listen(place);
      try {
        await tcp.listen(place);
      } catch (error) {
        udp.close();
        throw error;
      }
      this.#open.set(network, { udp, tcp, forwarder });
    });
  }

  /** Ends answering for a network; does nothing when it is not open. */
  shut(network: string): Promise<void> {
    return this.#turns.run(network, 'shut', () => this.#shut(network));
  }

  async close(): Promise<void> {
    await Promise.all([...this.#open.keys()].map((network) => this.shut(network)));
  }

  async #shut(network: string): Promise<void> {
    const open = this.#open.get(network);
    if (open === undefined) return;
    this.#open.delete(network);
    open.forwarder.close();
    open.udp.close();
    await open.tcp.close();
  }

  #admissionTo(network: string): Admission {
    return (asker) => {
      try {
        return this.#mayAsk(asker, network);
      } catch (err) {
        this.#log.error({ err, network }, 'whether somebody may ask for a name could not be told');
        return false;
      }
    };
  }

  #answererOf(network: string, forwarder: Forwarder): Answerer {
    return async (message, transport) => {
      const received = readQuery(message);
      if (received === undefined || 'refused' in received) return received?.refused;
      const { query } = received;
      const reply = await this.#answer(query, network, forwarder).catch((error: unknown) => {
        this.#log.error({ err: error, network }, 'a question for a name could not be answered');
        return buildReply(query, { rcode: 'SERVFAIL', recursive: forwarder.isPossible });
      });
      return transport === 'udp' ? fitUdp(query, reply) : reply;
    };
  }

  async #answer(query: Query, network: string, forwarder: Forwarder): Promise<Buffer> {
    const recursive = forwarder.isPossible;
    const fail = (rcode: Rcode): Buffer => buildReply(query, { rcode, recursive });
    if (query.edns !== undefined && query.edns.version !== 0) return fail('BADVERS');
    if (query.class !== 'IN' || TRANSFERS.has(query.type)) return fail('REFUSED');
    const answer = this.#resolve({ name: query.name, type: query.type }, network);
    switch (answer.kind) {
      case 'elsewhere':
        if (!recursive) return fail('REFUSED');
        return (await forwarder.ask(query)) ?? fail('SERVFAIL');
      case 'found':
      case 'unknown': {
        const records = answer.kind === 'found' ? rotated(answer.records) : [];
        const rcode = answer.kind === 'found' ? 'NOERROR' : 'NXDOMAIN';
        const soa = records.length === 0 && inZone(query.name.toLowerCase());
        return buildReply(query, { rcode, records, soa, authoritative: true, recursive });
      }
    }
  }
}
