/**
 * Every kind of image that CRIU 4.2 writes as messages, by its file's name. Source: `criu/image-desc.c` and
 * `criu/include/magic.h`. What is not here is raw: pages, archives, dumps of `ip` and `nft`.
 */
import {
  atMostOne,
  bytesIn,
  ghostFile,
  many,
  messageQueues,
  one,
  pagemap,
  semaphores,
  sharedSegments,
} from './layouts.ts';
import type { Layout } from './layouts.ts';

export interface ImageKind {
  /** The file's name, where `%u` is a decimal number, `%x` a hexadecimal one and `%s` a word. */
  readonly pattern: string;
  /** The last of the file's magic numbers. */
  readonly magic: number;
  readonly layout: Layout;
}

const NAMES: readonly (readonly [pattern: string, magic: number, layout: Layout])[] = [
  // The tree and its tasks.
  ['inventory.img', 0x58313116, one('inventory_entry')],
  ['pstree.img', 0x50273030, many('pstree_entry')],
  ['core-%u.img', 0x55053847, one('core_entry')],
  ['ids-%u.img', 0x54432030, one('task_kobj_ids_entry')],
  ['creds-%u.img', 0x54023547, one('creds_entry')],
  ['sigacts-%u.img', 0x55344201, many('sa_entry')],
  ['signal-s-%u.img', 0x59255647, many('siginfo_entry')],
  ['signal-p-%u.img', 0x59255647, many('siginfo_entry')],
  ['itimers-%u.img', 0x57464056, many('itimer_entry')],
  ['posix-timers-%u.img', 0x52603957, many('posix_timer_entry')],
  ['rlimit-%u.img', 0x57113925, many('rlimit_entry')],
  ['seccomp.img', 0x64413049, atMostOne('seccomp_entry')],
  ['apparmor.img', 0x59423047, atMostOne('apparmor_entry')],
  ['cgroup.img', 0x59383330, atMostOne('cgroup_entry')],
  ['cpuinfo.img', 0x61404013, atMostOne('cpuinfo_entry')],
  // Memory.
  ['mm-%u.img', 0x57492820, one('mm_entry')],
  ['vmas-%u.img', 0x54123737, many('vma_entry')],
  ['pagemap-%u.img', 0x56084025, pagemap],
  ['pagemap-shmem-%u.img', 0x56084025, pagemap],
  ['memfd.img', 0x48453499, many('memfd_inode_entry')],
  // Files.
  ['files.img', 0x56303138, many('file_entry')],
  ['fdinfo-%u.img', 0x56213732, many('fdinfo_entry')],
  ['fs-%u.img', 0x51403912, one('fs_entry')],
  ['reg-files.img', 0x50363636, many('reg_file_entry')],
  ['ext-files.img', 0x59255641, many('ext_file_entry')],
  ['ns-files.img', 0x61394011, many('ns_file_entry')],
  ['eventfd.img', 0x44523722, many('eventfd_file_entry')],
  ['eventpoll.img', 0x45023858, many('eventpoll_file_entry')],
  ['eventpoll-tfd.img', 0x44433746, many('eventpoll_tfd_entry')],
  ['signalfd.img', 0x57323820, many('signalfd_entry')],
  ['timerfd.img', 0x50493712, many('timerfd_entry')],
  ['inotify.img', 0x48424431, many('inotify_file_entry')],
  ['inotify-wd.img', 0x54562009, many('inotify_wd_entry')],
  ['fanotify.img', 0x55096122, many('fanotify_file_entry')],
  ['fanotify-mark.img', 0x56506035, many('fanotify_mark_entry')],
  ['pidfd.img', 0x54435556, many('pidfd_entry')],
  ['tunfile.img', 0x57143751, many('tunfile_entry')],
  ['bpfmap-file.img', 0x57506142, many('bpfmap_file_entry')],
  ['bpfmap-data.img', 0x64324033, many('bpfmap_data_entry', bytesIn('keysBytes', 'valuesBytes'))],
  ['filelocks.img', 0x54323616, many('file_lock_entry')],
  ['remap-fpath.img', 0x59133954, many('remap_file_path_entry')],
  ['ghost-file-%x.img', 0x52583605, ghostFile],
  ['irmap-cache', 0x57004059, many('irmap_cache_entry')],
  // Pipes, sockets, terminals.
  ['pipes.img', 0x56513555, many('pipe_entry')],
  ['pipes-data.img', 0x56453709, many('pipe_data_entry', bytesIn('bytes'))],
  ['fifo.img', 0x58364939, many('fifo_entry')],
  ['fifo-data.img', 0x59333054, many('pipe_data_entry', bytesIn('bytes'))],
  ['unixsk.img', 0x54373943, many('unix_sk_entry')],
  ['inetsk.img', 0x56443851, many('inet_sk_entry')],
  ['packetsk.img', 0x60454618, many('packet_sock_entry')],
  ['netlinksk.img', 0x58005614, many('netlink_sk_entry')],
  ['sk-queues.img', 0x56264026, many('sk_packet_entry', bytesIn('length'))],
  ['tcp-stream-%x.img', 0x51465506, one('tcp_stream_entry', bytesIn('inqLen', 'outqLen'))],
  ['tty.img', 0x59433025, many('tty_file_entry')],
  ['tty-info.img', 0x59453036, many('tty_info_entry')],
  ['tty-data.img', 0x59413026, many('tty_data_entry')],
  // Namespaces, and what the machine keeps.
  ['utsns-%u.img', 0x54473203, one('utsns_entry')],
  ['timens-%u.img', 0x43114433, one('timens_entry')],
  ['pidns-%u.img', 0x61157326, atMostOne('pidns_entry')],
  ['userns-%u.img', 0x55474906, atMostOne('userns_entry')],
  ['netns-%u.img', 0x55933752, atMostOne('netns_entry')],
  ['netdev-%u.img', 0x57373951, many('net_device_entry')],
  ['mountpoints-%u.img', 0x55563928, many('mnt_entry')],
  ['autofs-%u.img', 0x49353943, many('autofs_entry')],
  ['binfmt-misc.img', 0x67343323, many('binfmt_misc_entry')],
  ['binfmt-misc-%u.img', 0x67343323, many('binfmt_misc_entry')],
  ['ipcns-var-%u.img', 0x53115007, one('ipc_var_entry')],
  ['ipcns-shm-%u.img', 0x46283044, sharedSegments],
  ['ipcns-msg-%u.img', 0x55453737, messageQueues],
  ['ipcns-sem-%u.img', 0x59573019, semaphores],
  ['stats-%s', 0x57093306, one('stats_entry')],
];

const PLACES: Readonly<Record<string, string>> = { '%u': '[0-9]+', '%x': '[0-9a-f]+', '%s': '[a-z]+' };

const matcher = (pattern: string): RegExp =>
  new RegExp(
    `^${pattern.replaceAll('.', String.raw`\.`).replaceAll(/%./g, (place) => PLACES[place] ?? place)}$`,
  );

/** The table itself, for who goes through all kinds. */
export const IMAGE_KINDS: readonly ImageKind[] = NAMES.map(([pattern, magic, layout]) => ({
  pattern,
  magic,
  layout,
}));

const MATCHERS = IMAGE_KINDS.map((kind) => [matcher(kind.pattern), kind] as const);

/** What an image's file holds, by its name without directories; undefined for raw data and for what is no image. */
export const imageKind = (name: string): ImageKind | undefined =>
  MATCHERS.find(([form]) => form.test(name))?.[1];
