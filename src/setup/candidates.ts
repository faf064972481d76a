/**
 * Where a CRIU can come from, best first: the distribution's, a private copy that is here already, a private copy from a
 * newer suite of Debian. A private copy brings its own C library, because a newer CRIU needs a newer one than the system's.
 */
import { existsSync } from 'node:fs';
import { mkdir, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { run } from '../exec/index.ts';
import { moveIntoPlace, withTemporaryDirectory } from './files.ts';
import { findMirror } from './mirror.ts';
import { openSuite } from './private-apt.ts';

/** A CRIU to be tried. */
export interface Candidate {
  readonly source: 'distribution' | 'private';
  /** For people: `criu 3.17.1 of this system`, `criu-4.1.1-1 from trixie`. */
  readonly label: string;
  /** Program and first arguments. */
  readonly command: readonly [string, ...string[]];
  /** The directory of the Python modules with the schemas of exactly this version. */
  readonly schemas: () => Promise<string>;
}

/** Suites of Debian to take a private copy from, in order. */
export const SUITES = ['trixie', 'sid'] as const;

const PREFIX_NAME = /^criu-(\d.*)$/;
const SCHEMAS = 'usr/lib/python3/dist-packages/pycriu';

/** The directory name that Debian gives the libraries of this machine, and the name of its dynamic linker. */
const LINKERS: Readonly<Record<string, readonly [directory: string, linker: string]>> = {
  x64: ['x86_64-linux-gnu', 'ld-linux-x86-64.so.2'],
  arm64: ['aarch64-linux-gnu', 'ld-linux-aarch64.so.1'],
};

/** How a private copy below `prefix` is started: by its own dynamic linker, with its own libraries. */
export const privateCommand = (prefix: string, architecture: string): [string, ...string[]] => {
  const known = LINKERS[architecture];
  if (known === undefined) throw new Error(`there is no private copy of CRIU for ${architecture} machines`);
  const libraries = join(prefix, 'usr/lib', known[0]);
  return [join(libraries, known[1]), '--library-path', libraries, join(prefix, 'usr/sbin/criu')];
};

const privateCandidate = (prefix: string, label: string): Candidate => ({
  source: 'private',
  label,
  command: privateCommand(prefix, process.arch),
  schemas: () => Promise.resolve(join(prefix, SCHEMAS)),
});

/** Private copies that an earlier set-up finished, newest version first. */
export const presentCopies = async (directory: string): Promise<Candidate[]> => {
  const names = (await readdir(directory)).filter((name) => PREFIX_NAME.test(name));
  const newestFirst = names.toSorted((a, b) => b.localeCompare(a, 'en', { numeric: true }));
  return newestFirst.map((name) => privateCandidate(join(directory, name), name));
};

/** Downloads, verifies and unpacks CRIU of `suite` into `DIRECTORY/criu-VERSION`. */
export const fetchCopy = (directory: string, suite: string): Promise<Candidate> =>
  withTemporaryDirectory(directory, async (work) => {
    const apt = await openSuite(work, await findMirror(), suite);
    const version = await apt.versionOf('criu');
    const prefix = join(directory, `criu-${version}`);
    if (!existsSync(prefix)) {
      await apt.withDependencies('criu');
      await apt.alone('python3-pycriu', version);
      const unpacked = join(work, 'prefix');
      await mkdir(unpacked);
      for (const file of await apt.downloaded()) await run('dpkg-deb', ['--extract', file, unpacked]);
      await run('sync', ['--file-system', unpacked]);
      await moveIntoPlace(unpacked, prefix);
    }
    return privateCandidate(prefix, `criu-${version} from ${suite}`);
  });

/** The schemas of the distribution's CRIU, unpacked into `DIRECTORY/schemas-VERSION`. */
const distributionSchemas = async (directory: string, version: string): Promise<string> => {
  const kept = join(directory, `schemas-${version}`);
  if (!existsSync(kept)) {
    await withTemporaryDirectory(directory, async (work) => {
      await run('apt-get', ['--quiet=2', 'download', `python3-pycriu=${version}`], { cwd: work });
      const [file] = await readdir(work);
      if (file === undefined) throw new Error(`apt downloaded nothing for python3-pycriu=${version}`);
      await run('dpkg-deb', ['--extract', join(work, file), join(work, 'unpacked')]);
      await moveIntoPlace(join(work, 'unpacked'), kept);
    });
  }
  return join(kept, SCHEMAS);
};

/** The CRIU of this system's own packages, if it is installed. */
export const distributionCandidate = async (directory: string): Promise<Candidate | undefined> => {
  const format = '--showformat=${db:Status-Status} ${Version}';
  const { stdout } = await run('dpkg-query', ['--show', format, 'criu'], { acceptExit: [0, 1] });
  const [status, version] = stdout.split(' ');
  if (status !== 'installed' || version === undefined) return undefined;
  return {
    source: 'distribution',
    label: `criu ${version} of this system`,
    command: ['/usr/sbin/criu'],
    schemas: () => distributionSchemas(directory, version),
  };
};
