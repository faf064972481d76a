/**
 * The demo: a web server and its Redis are one application, sleep, and are woken by curl's first packet.
 *
 * It runs in a network namespace without a way out, with a daemon and directories of its own, and leaves nothing behind.
 * Each line is printed after what it says has been checked; the first that is not so ends the demo with exit code 1.
 */
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { median } from '../bench/statistics.ts';
import { table } from '../bench/table.ts';
import type { AppView, CloneView, SleepResult, TemplateView } from '../src/api/index.ts';
import { applicationOf } from '../test/support/application.ts';
import type { Application } from '../test/support/application.ts';
import { processesOf } from '../test/support/belongings.ts';
import { eventually } from '../test/support/eventually.ts';
import { get, httpConnection } from '../test/support/http-client.ts';
import type { HttpConnection } from '../test/support/http-client.ts';
import { createLab } from '../test/support/lab.ts';
import type { Lab } from '../test/support/lab.ts';
import { heldMb, ownMb, programsMb } from './demo/machine.ts';
import { must, step, StepFailed } from './demo/story.ts';

const PORT = 8080;
const HELD_MB = 400;
const ROUNDS = 5;
const CLONES = 10;
const YAML = 'scripts/demo/appshot.yaml';
const WEB = fileURLToPath(new URL('demo/web.js', import.meta.url));

interface Visit {
  readonly visit: number;
  readonly started: string;
  readonly pid: number;
}

/** What the steps hand on to each other. */
interface Scene {
  readonly lab: Lab;
  readonly app: Application;
  readonly client: HttpConnection;
  readonly sum: string;
}

const ms = (value: number): string => `${value.toFixed(0)} ms`;
const mb = (value: number): string => `${value.toFixed(0)} MB`;

const show = ({ visit, pid, started }: Visit): string =>
  `visit ${visit}, from PID ${pid}, started ${started.slice(11, 23)}`;

const begin = async (lab: Lab): Promise<Scene> => {
  let app: Application | undefined;
  await step(`appshot run --file ${YAML}`, async () => {
    const file = fileURLToPath(new URL('demo/appshot.yaml', import.meta.url));
    app = applicationOf(lab, (await lab.succeed('run', '--json', '--file', file)).json<AppView>());
    return [`${app.name} runs at ${app.address}: Redis, and a Node web server that holds ${HELD_MB} MB`];
  });
  must(app !== undefined, 'there is no application');
  const to = lab.namespace.inside(app.address, PORT);
  const client = httpConnection(to);
  let sum = '';
  await step('A client visits, and keeps its connection open', async () => {
    sum = (await eventually(() => client.get('/memory'))).body;
    return [show(JSON.parse((await client.get('/')).body) as Visit)];
  });
  return { lab, app, client, sum };
};

const sleep = async ({ lab, app }: Scene): Promise<void> => {
  await step(`appshot sleep ${app.name}`, async () => {
    const pids = (await app.inspect()).processes.map((one) => one.systemPid);
    const [held, programs] = [heldMb(pids), programsMb()];
    must(pids.length >= 2 && held > HELD_MB, `the chain should hold ${HELD_MB} MB, but holds ${mb(held)}`);
    const slept = await app.sleep();
    const left = processesOf(lab).filter((one) => pids.includes(one.pid));
    must(left.length === 0, `${left.length} of its processes are still there`);
    must((await app.state()) === 'asleep', 'it is not asleep');
    return [
      `asleep in ${ms(slept.ms)}; its snapshot has ${mb(slept.bytes / 1e6)}`,
      `its processes: ${pids.length} before, 0 now; the memory they held: ${mb(held)} before, 0 now`,
      `all programs of this machine: ${mb(programs)} before, ${mb(programsMb())} now`,
    ];
  });
};

/** One visit by curl, a program of its own; the time is the one that curl measured. */
const curl = async ({ lab, app }: Scene): Promise<Visit & { readonly ms: number }> => {
  const url = `http://${app.address}:${PORT}/`;
  const format = '%{stderr}%{time_total}';
  const options = ['--silent', '--fail', '--max-time', '30', '--write-out', format];
  const { stdout, stderr } = await lab.exec('curl', [...options, url]);
  return { ...(JSON.parse(stdout) as Visit), ms: Number(stderr) * 1000 };
};

const wake = async (scene: Scene): Promise<void> => {
  const { app, client, sum } = scene;
  let woken: Visit | undefined;
  await step(`curl http://${app.address}:${PORT}/`, async () => {
    const visit = await curl(scene);
    woken = visit;
    must(visit.visit === 2, `this should be visit 2, but is ${visit.visit}`);
    must((await app.state()) === 'running', 'it does not run');
    return [show(visit), `the first packet woke it; curl had its answer after ${ms(visit.ms)}`];
  });
  await step('The client goes on over the connection it opened before', async () => {
    const visit = JSON.parse((await client.get('/')).body) as Visit;
    must(visit.visit === 3, `this should be visit 3, but is ${visit.visit}`);
    must(visit.started === woken?.started && visit.pid === woken.pid, 'another process answered');
    must((await client.get('/memory')).body === sum, `the ${HELD_MB} MB have changed`);
    return [show(visit), `all ${HELD_MB} MB are as they were, and so is its connection to Redis`];
  });
};

/** The same two programs started anew without AppShot: milliseconds until the first whole answer. */
const coldStart = async ({ lab }: Scene): Promise<number> => {
  const began = performance.now();
  const store = await lab.talk('redis-server', ['--save', '', '--appendonly', 'no']);
  const web = await lab.talk(process.execPath, [WEB, String(PORT), String(HELD_MB)]);
  try {
    await web.hear(/listens/);
    await get(lab.namespace.inside('127.0.0.1', PORT), '/');
    return performance.now() - began;
  } finally {
    await Promise.all([web.close(), store.close()]);
  }
};

const compare = async (scene: Scene): Promise<void> => {
  const { lab, app } = scene;
  const to = lab.namespace.inside(app.address, PORT);
  const [sleeps, wakes, awake, cold]: [SleepResult[], number[], number[], number[]] = [[], [], [], []];
  let visit = 3;
  await step(`${ROUNDS} more rounds, beside cold starts of the two without AppShot`, async () => {
    for (let round = 0; round < ROUNDS; round++) {
      sleeps.push(await app.sleep());
      const woken = await get(to, '/');
      wakes.push(woken.ms);
      awake.push((await get(to, '/')).ms);
      cold.push(await coldStart(scene));
      visit += 2;
      must((JSON.parse(woken.body) as Visit).visit === visit - 1, `visit ${visit - 1} was counted wrongly`);
    }
    return table('lrl', [
      ['', 'median', ''],
      ['cold start, to the first answer', ms(median(cold)), 'visits and memory lost'],
      ['wake, first packet to answer', ms(median(wakes)), 'everything kept'],
      ['a request while it runs', ms(median(awake)), ''],
      ['sleep', ms(median(sleeps.map((one) => one.ms))), ''],
    ]);
  });
};

/** Each clone goes on from the template's visits, counts its own in its own Redis, and holds the same memory. */
const clone = async ({ lab, app, sum }: Scene): Promise<void> => {
  const visits = async (address: string): Promise<number> =>
    (JSON.parse((await get(lab.namespace.inside(address, PORT), '/')).body) as Visit).visit;
  await step(`appshot template create warm --from ${app.name}`, async () => {
    const made = (
      await lab.succeed('template', 'create', 'warm', '--from', app.name, '--json')
    ).json<TemplateView>();
    return [
      `${mb(made.memory.layered / 1e6)} that clones share, ${mb(made.memory.copied / 1e6)} that each copies`,
    ];
  });
  await step(`appshot clone warm --count ${CLONES}`, async () => {
    const words = ['clone', 'warm', '--count', String(CLONES), '--json'];
    const clones = (await lab.succeed(...words)).json<CloneView[]>();
    const counted = await Promise.all(clones.map(({ address }) => visits(address)));
    must(new Set(counted).size === 1, `they should count alike, but counted ${counted.join(', ')}`);
    const [first] = clones;
    must(first !== undefined, 'there are no clones');
    must((await visits(first.address)) === (counted[0] ?? 0) + 1, 'its visits are not its own');
    const memory = await get(lab.namespace.inside(first.address, PORT), '/memory');
    must(memory.body === sum, `its ${HELD_MB} MB are not what they were`);
    const { processes } = await applicationOf(lab, first).inspect();
    const own = ownMb(processes.map((one) => one.systemPid));
    return [
      `${clones.length} of them, each with its own Redis and address, up in ${ms(median(clones.map((one) => one.ms)))} each`,
      `each holds the same ${HELD_MB} MB, of which ${own.toFixed(1)} MB are its own: what it has written`,
    ];
  });
};

const NEXT = `
Where to go next
  bin/appshot daemon            start the daemon, then in another terminal:
  bin/appshot run --name web --idle 30s -- node server.js
  bin/appshot template create warm --from web && bin/appshot clone warm --count 20
  docs/appshot-yaml.md          describe an application of several processes
  npm run bench                 how fast, step by step, and beside what`;

const play = async (): Promise<void> => {
  console.log('AppShot demo: an application sleeps, and its next packet wakes it.\n');
  process.env['NODE_DIRECTORY'] = dirname(process.execPath);
  await using lab = await createLab();
  await step('appshot daemon', async () => {
    const daemon = await lab.daemon();
    return [`ready as PID ${daemon.pid}, in a network namespace of its own without a way out`];
  });
  const scene = await begin(lab);
  await sleep(scene);
  await wake(scene);
  await clone(scene);
  await compare(scene);
  scene.client.close();
};

try {
  await play();
  console.log(NEXT);
} catch (error) {
  console.error(`\nThe demo failed at ${error instanceof StepFailed ? error.message : String(error)}`);
  process.exitCode = 1;
}
