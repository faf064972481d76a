/** Layers of clones, links and redirections, in mounts made here and in an environment of a daemon's. Needs root. */
import {
  appendFileSync,
  chownSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  readlinkSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import {
  LayerImages,
  makeApplicationFiles,
  makeLayerImage,
  makeRoot,
  preparePlaces,
} from '../../src/environments/index.ts';
import type { LayersBeneath } from '../../src/environments/index.ts';
import { run } from '../../src/exec/index.ts';
import * as kernel from '../../src/kernel/index.ts';
import { Layout } from '../../src/snapshots/index.ts';

type RootPlan = Parameters<typeof makeRoot>[0];
type Places = Parameters<typeof preparePlaces>[1];

/** Directories of applications, and those of one that becomes a template with the first clone. */
const makeHouse = () => {
  const base = mkdtempSync(join(tmpdir(), 'appshot-places-'));
  onTestFinished(() => rmSync(base, { recursive: true, force: true }));
  const layout = new Layout(join(base, 'data'));
  const engine = join(base, 'engine');
  const view = join(base, 'view');
  for (const path of [engine, view]) mkdirSync(path);
  const shown = join(base, 'shown');
  mkdirSync(join(shown, 'deep'), { recursive: true });
  writeFileSync(join(shown, 'machine'), 'machine');
  const template = layout.application('template');
  makeApplicationFiles(template, [], [shown]);
  const images = new LayerImages();
  onTestFinished(() => images.close());
  const begin = (aid: string, beneath?: LayersBeneath): RootPlan => {
    const files = layout.application(aid);
    makeApplicationFiles(files, [], [shown], beneath);
    return { engine, files, beneath, volumes: [], shown: [shown], memory: [] };
  };
  const clone = async (aid: string): Promise<RootPlan> => {
    const image = join(base, 'image');
    const fill = async (root: string): Promise<void> => {
      // It is a descriptor of this process.
      const target = root.replace('self', String(process.pid));
      await run('cp', ['-a', template.upper, template.shm, template.shown, target]);
    };
    if (!existsSync(image)) await makeLayerImage(image, { bytes: 1 << 20, files: 100 }, fill);
    return begin(
      aid,
      images.use(image, join(base, 'place'), (layers) => layers),
    );
  };
  return { base, layout, template, view, shown, begin, clone };
};

/** The kernel lets go of the layers of a root that was unmounted a moment later. */
const released = <T>(make: () => T): T => {
  for (const end = performance.now() + 5000; ;)
    try {
      return make();
    } catch (error) {
      if (!kernel.isErrno(error, 'EBUSY') || performance.now() > end) throw error;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 5);
    }
};

/** Runs with the root and its mounts in their places, as PID 1 puts them. */
const entered = <T>(plan: RootPlan, view: string, use: (root: string) => T): T => {
  using made = released(() => makeRoot(plan));
  const mounted = [view];
  kernel.moveMount(made.root, view);
  try {
    for (const { descriptor, target } of made.mounts) {
      const place = join(view, target);
      mkdirSync(place, { recursive: true });
      kernel.moveMount(descriptor, place);
      mounted.unshift(place);
    }
    return use(view);
  } finally {
    for (const place of mounted) kernel.umount(place);
  }
};

const place = async (plan: RootPlan, places: Partial<Places>, previous?: Partial<Places>): Promise<void> => {
  const whole = (some: Partial<Places> = {}): Places => ({ links: [], redirects: [], ...some });
  using made = released(() => makeRoot(plan));
  await preparePlaces(made, whole(places), whole(previous));
};

const write = (path: string, text: string): void => {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, text);
};

const read = (...path: string[]): string => readFileSync(join(...path), 'utf8');

test('a clone sees the files of its template and of the machine, and changes its own alone', async () => {
  const { template, view, shown, clone } = makeHouse();
  write(join(template.upper, 'tmp/mine'), 'template');
  write(join(template.upper, 'srv/data'), 'template');
  write(join(template.shm, 'segment'), 'template');
  write(join(template.shown, '0/upper/made'), 'template');
  kernel.makeNode(join(template.upper, 'etc'), 0o20000);
  write(join(tmpdir(), `appshot-unseen-${process.pid}`), '');
  onTestFinished(() => rmSync(join(tmpdir(), `appshot-unseen-${process.pid}`)));
  const one = await clone('one');
  entered(one, view, (root) => {
    expect(readdirSync(join(root, 'tmp')).toSorted()).toContain('mine');
    expect(existsSync(join(root, tmpdir(), `appshot-unseen-${process.pid}`))).toBe(false);
    expect(existsSync(join(root, 'etc'))).toBe(false);
    expect(existsSync(join(root, 'usr/bin/env'))).toBe(true);
    expect(read(root, 'dev/shm/segment')).toBe('template');
    expect(read(root, shown, 'made')).toBe('template');
    expect(read(root, shown, 'machine')).toBe('machine');
    for (const path of ['srv/data', 'dev/shm/segment', join(shown, 'made'), join(shown, 'machine')])
      appendFileSync(join(root, path), ' and one');
    rmSync(join(root, 'tmp/mine'));
  });
  entered(one, view, (root) => {
    expect(read(root, 'srv/data')).toBe('template and one');
    expect(read(root, 'dev/shm/segment')).toBe('template and one');
    expect(existsSync(join(root, 'tmp/mine'))).toBe(false);
  });
  entered(await clone('two'), view, (root) => {
    expect(read(root, 'srv/data')).toBe('template');
    expect(read(root, 'dev/shm/segment')).toBe('template');
    expect(read(root, shown, 'machine')).toBe('machine');
    expect(read(root, 'tmp/mine')).toBe('template');
  });
  expect(read(template.upper, 'srv/data')).toBe('template');
});

test('a clone of a template without shared memory has a plain /dev/shm', async () => {
  const { view, clone, layout } = makeHouse();
  entered(await clone('one'), view, (root) => writeFileSync(join(root, 'dev/shm/own'), ''));
  expect(readdirSync(layout.application('one').shm)).toEqual(['own']);
});

test('a link takes what was there to its target, and a clone goes on with a copy of its own', async () => {
  const { template, view, begin, clone, layout } = makeHouse();
  const first = begin('first');
  write(join(first.files.upper, 'data/kept'), 'mine');
  chownSync(join(first.files.upper, 'data/kept'), 7, 8);
  const links = [{ path: '/data', target: '/srv/some/first' }];
  await place(first, { links });
  await place(first, { links });
  entered(first, view, (root) => {
    expect(readlinkSync(join(root, 'data'))).toBe('/srv/some/first');
    expect(read(root, 'srv/some/first/kept')).toBe('mine');
    expect(statSync(join(root, 'srv/some/first/kept')).gid).toBe(8);
  });
  // As the template's files were its application's.
  symlinkSync('/srv/some/first', join(template.upper, 'data'));
  write(join(template.upper, 'srv/some/first/kept'), 'mine');
  chownSync(join(template.upper, 'srv/some/first/kept'), 7, 8);
  const second = await clone('clone');
  await place(second, { links: [{ path: '/data', target: '/srv/some/clone' }] }, { links });
  entered(second, view, (root) => {
    expect(readlinkSync(join(root, 'data'))).toBe('/srv/some/clone');
    const kept = join(root, 'srv/some/clone/kept');
    expect(read(kept)).toBe('mine');
    expect(statSync(kept).uid).toBe(7);
    writeFileSync(kept, 'other');
  });
  expect(existsSync(join(layout.application('clone').upper, 'srv/some/first/kept'))).toBe(false);
  expect(read(template.upper, 'srv/some/first/kept')).toBe('mine');
});

test('what is in the way of a link whose target is there already is kept beside it', async () => {
  const { view, begin } = makeHouse();
  const plan = begin('one');
  write(join(plan.files.upper, 'data/mine'), 'mine');
  write(join(plan.files.upper, 'srv/target/theirs'), 'theirs');
  await place(plan, { links: [{ path: '/data', target: '/srv/target' }] });
  entered(plan, view, (root) => {
    expect(read(root, 'data.replaced/mine')).toBe('mine');
    expect(readlinkSync(join(root, 'data'))).toBe('/srv/target');
    expect(readdirSync(join(root, 'srv/target'))).toEqual(['theirs']);
  });
});

test('a link to nothing gets a directory to lead to, with the owner of the one above it', async () => {
  const { view, begin } = makeHouse();
  const plan = begin('one');
  mkdirSync(join(plan.files.upper, 'home/user'), { recursive: true });
  chownSync(join(plan.files.upper, 'home/user'), 1000, 1001);
  await place(plan, { links: [{ path: '/home/user/data', target: '/home/user/own/1' }] });
  entered(plan, view, (root) => {
    const stat = lstatSync(join(root, 'home/user/own/1'));
    expect([stat.isDirectory(), stat.uid, stat.gid]).toEqual([true, 1000, 1001]);
    expect(lstatSync(join(root, 'home/user/data')).uid).toBe(1000);
  });
});

test('redirections have a copy to lead to, and something to cover', async () => {
  const { view, begin } = makeHouse();
  const plan = begin('one');
  write(join(plan.files.upper, 'app/config/a'), 'a');
  kernel.makeNode(join(plan.files.upper, 'app/config/fifo'), 0o10600);
  symlinkSync('a', join(plan.files.upper, 'app/config/link'));
  write(join(plan.files.upper, 'file'), 'file');
  const redirects = [
    { from: '/app/config', to: '/usr/app/1/config' },
    { from: '/absent', to: '/usr/app/1/absent' },
    { from: '/file', to: '/usr/app/1/file' },
    { from: '/no-file', to: '/usr/app/1/file' },
  ];
  await place(plan, { redirects });
  writeFileSync(join(plan.files.upper, 'usr/app/1/config/a'), 'changed');
  await place(plan, { redirects });
  entered(plan, view, (root) => {
    expect(readdirSync(join(root, 'usr/app/1/config')).toSorted()).toEqual(['a', 'fifo', 'link']);
    expect(read(root, 'usr/app/1/config/a')).toBe('changed');
    expect(lstatSync(join(root, 'usr/app/1/config/fifo')).isFIFO()).toBe(true);
    expect(readlinkSync(join(root, 'usr/app/1/config/link'))).toBe('a');
    expect(lstatSync(join(root, 'absent')).isDirectory()).toBe(true);
    expect(lstatSync(join(root, 'usr/app/1/absent')).isDirectory()).toBe(true);
    expect(read(root, 'usr/app/1/file')).toBe('file');
    expect(lstatSync(join(root, 'no-file')).size).toBe(0);
  });
});

test('links of the application do not lead out of it, and targets in volumes are in those', async () => {
  const { base, view, begin } = makeHouse();
  const [volume, outside] = [join(base, 'volume'), join(base, 'outside')];
  for (const path of [volume, outside]) mkdirSync(path);
  const plan = { ...begin('one'), volumes: [{ source: volume, target: '/vol', readOnly: false }] };
  symlinkSync(outside, join(plan.files.upper, 'escape'));
  symlinkSync(outside, join(volume, 'escape'));
  mkdirSync(join(plan.files.upper, 'vol'));
  symlinkSync('/vol', join(plan.files.upper, 'to-volume'));
  await place(plan, {
    links: [
      { path: '/a', target: '/vol/a' },
      { path: '/b', target: '/to-volume/b' },
    ],
  });
  for (const path of ['/escape/c', '/vol/escape/c'])
    await expect(place(plan, { links: [{ path: '/c', target: path }] })).rejects.toMatchObject({
      code: 'LINK_OUTSIDE',
    });
  expect(readdirSync(volume).toSorted()).toEqual(['a', 'b', 'escape']);
  expect(readdirSync(outside)).toEqual([]);
  entered(plan, view, (root) => expect(readlinkSync(join(root, 'b'))).toBe('/to-volume/b'));
});

test('a target in a volume that is read-only is refused', async () => {
  const { base, begin } = makeHouse();
  mkdirSync(join(base, 'volume'));
  const volumes = [{ source: join(base, 'volume'), target: '/vol', readOnly: true }];
  const links = [{ path: '/a', target: '/vol/a' }];
  await expect(place({ ...begin('one'), volumes }, { links })).rejects.toMatchObject({
    code: 'LINK_OUTSIDE',
    message: expect.stringContaining('read-only') as string,
  });
});
