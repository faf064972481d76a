/* What the files of the init program share. Its protocol is in init.c. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/mount.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <sys/mount.h>

#define FRAME_MAX (16 << 20)
#define PATH_SIZE 4096
#define STATUS_FD 4 /* tells PID 1 which program of a chain could not be started */

/* The rest of a frame. */
struct fields {
  char *at, *end;
};

/* util.c */
/* Ends with errno's text. */
void die(const char *what);
long check(long result, const char *what);
int write_all(int fd, const void *data, size_t size);
int read_all(int fd, void *data, size_t size);
int write_text(const char *path, const char *text);
void send_frame(int fd, const void *data, uint32_t size);
int move_mount_to(int fd, const char *target);
int clone_tree(const char *path);
/* The next field; NULL when there is none. */
char *field(struct fields *f);
long number_field(struct fields *f);
/* A count and that many fields. */
char **list_field(struct fields *f);
void join_cgroups(char **paths, pid_t pid);
char **after_dashes(char **argv);

/* identity.c */
/* Names the stage that failed, as the verbs below do; NULL when all is well. */
const char *become(uint64_t keep, const char *uid, const char *gid, const char *groups);
void drop_capabilities(void);
void hide_io_uring(void);

/* engine.c */
pid_t start_engine(char **command, int *socket);
/* Passes one message on, behind a prefix; false when the engine has ended. */
int relay_engine(int from, int to, const char *prefix, size_t prefix_size);

/* mounts.c */
void loopback_up(void);
void make_mounts(const char *dir);
const char *give_root(struct fields *f, int *fds, int count);

/* restore.c */
const char *set_time(struct fields *f);
const char *make_subreaper(struct fields *f);

/* verbs of main() */
int chain_main(void);
int env_main(char **argv);
int swrk_main(char **argv);
int enter_main(char **argv);
