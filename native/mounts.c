/* What an environment mounts: devices, /proc and /sys while it is nobody's, and an application's root later. */
#include "init.h"

#define MS_SLAVE_ALL (MS_SLAVE | MS_REC)
#define REDIRECTS_MAX 1024

/* The environment's directory, and mounts that wait for a root, detached. */
static struct {
  const char *dir;
  int dev, proc, sys;
} place;

static void bind_device(const char *name) {
  char target[PATH_SIZE], source[64];
  snprintf(source, sizeof source, "/dev/%s", name);
  snprintf(target, sizeof target, "%s/dev/%s", place.dir, name);
  close(check(open(target, O_CREAT | O_WRONLY | O_CLOEXEC, 0666), target));
  check(mount(source, target, NULL, MS_BIND, NULL), source);
}

static void link_device(const char *target, const char *name) {
  char path[PATH_SIZE];
  snprintf(path, sizeof path, "%s/dev/%s", place.dir, name);
  check(symlink(target, path), path);
}

static void make_devices(void) {
  char path[PATH_SIZE];
  snprintf(path, sizeof path, "%s/dev", place.dir);
  check(mount("tmpfs", path, "tmpfs", MS_NOSUID, "mode=755,size=64k"), "dev");
  static const char *const nodes[] = {"null", "zero", "full", "random", "urandom", "tty"};
  for (size_t i = 0; i < sizeof nodes / sizeof *nodes; i++) bind_device(nodes[i]);
  snprintf(path, sizeof path, "%s/dev/pts", place.dir);
  check(mkdir(path, 0755), path);
  check(mount("devpts", path, "devpts", MS_NOSUID | MS_NOEXEC, "newinstance,ptmxmode=0666,mode=0620,gid=5"), "devpts");
  snprintf(path, sizeof path, "%s/dev/shm", place.dir);
  check(mkdir(path, 01777), path);
  link_device("pts/ptmx", "ptmx");
  link_device("/proc/self/fd", "fd");
  link_device("/proc/self/fd/0", "stdin");
  link_device("/proc/self/fd/1", "stdout");
  link_device("/proc/self/fd/2", "stderr");
}

void loopback_up(void) {
  struct ifreq request = {.ifr_name = "lo", .ifr_flags = IFF_UP};
  int fd = check(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), "socket");
  check(ioctl(fd, SIOCSIFFLAGS, &request), "loopback");
  close(fd);
}

void make_mounts(const char *dir) {
  place.dir = dir;
  char path[PATH_SIZE];
  check(mount(NULL, "/", NULL, MS_SLAVE_ALL, NULL), "slave mounts");
  check(mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL), "proc");
  make_devices();
  snprintf(path, sizeof path, "%s/dev", place.dir);
  place.dev = clone_tree(path);
  place.proc = clone_tree("/proc");
  snprintf(path, sizeof path, "%s/sys", place.dir);
  if (mount("sysfs", path, "sysfs", MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_RDONLY, NULL) < 0)
    check(mount("/sys", path, NULL, MS_BIND | MS_REC, NULL), "sysfs");
  place.sys = clone_tree(path);
}

static int make_directories(const char *path) {
  char part[PATH_SIZE];
  for (size_t i = 1; path[i]; i++) {
    if (path[i] != '/' || i >= sizeof part) continue;
    memcpy(part, path, i), part[i] = 0;
    if (mkdir(part, 0755) < 0 && errno != EEXIST) return -1;
  }
  return mkdir(path, 0755) < 0 && errno != EEXIST ? -1 : 0;
}

/* A mount on a file needs a file to stand on, one on a directory a directory. */
static int make_target(int fd, const char *path) {
  struct stat st;
  if (fstat(fd, &st) < 0) return -1;
  if (S_ISDIR(st.st_mode)) return make_directories(path);
  char parent[PATH_SIZE];
  snprintf(parent, sizeof parent, "%s", path);
  char *slash = strrchr(parent, '/');
  if (slash && slash != parent && (*slash = 0, make_directories(parent)) < 0) return -1;
  int file = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0644);
  return file < 0 ? -1 : close(file);
}

/* FROM TO...: what is opened below FROM is from now on what lies below TO. Every TO is looked up before anything is covered. After a
 * failure nothing is undone: an environment that did not get its root is not used. */
static const char *redirect(struct fields *f) {
  static struct {
    const char *from;
    int tree;
  } redirects[REDIRECTS_MAX];
  size_t count = 0;
  for (char *from; (from = field(f)); count++) {
    char *to = field(f);
    if (count == REDIRECTS_MAX || !to) return errno = E2BIG, "redirections";
    redirects[count].from = from;
    if ((redirects[count].tree = copy_tree(to)) < 0) return to;
  }
  for (size_t i = 0; i < count; i++) {
    const char *from = redirects[i].from;
    int tree = redirects[i].tree;
    /* It may lie below what was covered just now. */
    if (access(from, F_OK) < 0 && make_target(tree, from) < 0) return from;
    if (move_mount_to(tree, from) < 0) return from;
    close(tree);
  }
  return NULL;
}

/* root HOSTNAME TARGET... with the root's mount and one for each target; then FROM TO... of redirections. The root is entered
 * first and the targets are resolved inside it: a symbolic link that the application left there must not lead out. */
const char *give_root(struct fields *f, int *fds, int count) {
  char target_root[PATH_SIZE], *hostname = field(f);
  if (count < 1 || !hostname) return errno = EINVAL, "root";
  if (sethostname(hostname, strlen(hostname)) < 0) return "host name";
  snprintf(target_root, sizeof target_root, "%s/root", place.dir);
  if (move_mount_to(fds[0], target_root) < 0) return "move root";
  if (chdir(target_root) < 0 || syscall(SYS_pivot_root, ".", ".") < 0) return "pivot root";
  if (umount2(".", MNT_DETACH) < 0 || chdir("/") < 0) return "leave old root";
  if (move_mount_to(place.proc, "/proc") < 0) return "mount /proc";
  if (move_mount_to(place.dev, "/dev") < 0) return "mount /dev";
  if (move_mount_to(place.sys, "/sys") < 0) return "mount /sys";
  for (int i = 1; i < count; i++) {
    char *target = field(f);
    if (!target || make_target(fds[i], target) < 0 || move_mount_to(fds[i], target) < 0) return target ? target : "targets";
  }
  return redirect(f);
}
