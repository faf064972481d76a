/* Who a program is: its user, its capabilities, and the system calls that it does not have. */
#include "init.h"

static int drop_bounding(uint64_t keep) {
  for (int cap = 0; cap < 64; cap++)
    if (!(keep >> cap & 1) && prctl(PR_CAPBSET_READ, cap, 0, 0, 0) == 1 && prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) < 0)
      return -1;
  return 0;
}

static int limit_capabilities(uint64_t keep) {
  struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  struct __user_cap_data_struct data[2];
  if (syscall(SYS_capget, &header, data) < 0) return -1;
  for (int i = 0; i < 2; i++) {
    data[i].permitted &= (uint32_t)(keep >> (32 * i));
    data[i].effective &= (uint32_t)(keep >> (32 * i));
    data[i].inheritable = 0;
  }
  return syscall(SYS_capset, &header, data);
}

static int set_user(const char *uid, const char *gid, const char *groups) {
  gid_t list[64];
  int count = 0;
  for (const char *at = groups; *at && count < 64;) {
    char *end;
    list[count++] = strtoul(at, &end, 10);
    at = *end == ',' ? end + 1 : end;
    if (*end && *end != ',') return errno = EINVAL, -1;
  }
  if (setgroups(count, list) < 0 || setgid(strtoul(gid, NULL, 10)) < 0) return -1;
  return setuid(strtoul(uid, NULL, 10));
}

/* The bounding set goes first and the effective one last: changing the user needs what the program must not keep. */
const char *become(uint64_t keep, const char *uid, const char *gid, const char *groups) {
  if (drop_bounding(keep) < 0) return "capabilities";
  if (set_user(uid, gid, groups) < 0) return "user";
  return limit_capabilities(keep) < 0 ? "capabilities" : NULL;
}

/* The engine cannot save io_uring, and event loops use it unasked (libuv since 1.45). As in container runtimes it is not there:
 * they fall back to epoll. These numbers are the same on all architectures. */
void hide_io_uring(void) {
  struct sock_filter code[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, SYS_io_uring_setup, 0, 2),
      BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, SYS_io_uring_register, 1, 0),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  struct sock_fprog program = {sizeof code / sizeof *code, code};
  check(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program), "seccomp");
}

/* For a process that only waits. */
void drop_capabilities(void) { drop_bounding(0), limit_capabilities(0); }
