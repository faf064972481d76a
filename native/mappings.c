/* What is mapped in a task, and which of it is a layer: asked of the kernel mapping by mapping where it can be (Linux 6.11),
 * read from /proc/PID/maps otherwise. */
#include "guard.h"

#define NAME_SIZE PATH_SIZE

/* Source: linux/fs.h of Linux 6.11, "struct procmap_query". */
struct procmap_query {
  uint64_t size, flags, address;
  uint64_t start, end, vma_flags, page_size, offset, inode;
  uint32_t device_major, device_minor, name_size, build_id_size;
  uint64_t name, build_id;
};
#define PROCMAP_QUERY _IOWR('f', 17, struct procmap_query)
#define QUERY_SHARED 0x08      /* of a mapping; what it allows is in the three bits below, as in PROT_READ... */
#define QUERY_NEXT 0x10        /* the mapping at the address, or the next one */
#define QUERY_FILES 0x20       /* skip those that map no file */

static const char *layer_prefix = "/.appshot/memory/";
static char name[NAME_SIZE];

void guard_layers_at(const char *prefix) { layer_prefix = prefix; }

static enum backing backing_of(int shared, uint64_t inode) {
  if (!shared && !strncmp(name, layer_prefix, strlen(layer_prefix))) return LAYER;
  return !shared && inode == 0 && strncmp(name, "[v", 2) ? ANONYMOUS : OTHER;
}

static int append(struct mappings *m, struct mapping one) {
  if ((m->count & (m->count + 1)) == 0) {
    struct mapping *list = realloc(m->list, (2 * m->count + 2) * sizeof *list);
    if (!list) return -1;
    m->list = list;
  }
  m->list[m->count++] = one;
  return 0;
}

static uint64_t larger(uint64_t a, uint64_t b) { return a > b ? a : b; }
static uint64_t smaller(uint64_t a, uint64_t b) { return a < b ? a : b; }

static int query_all(int maps, struct span in, int files, struct mappings *found) {
  for (uint64_t at = in.start; at < in.end;) {
    struct procmap_query q = {.size = sizeof q, .flags = QUERY_NEXT | (files ? QUERY_FILES : 0), .address = at};
    q.name = (uint64_t)name, q.name_size = sizeof name, name[0] = 0;
    if (ioctl(maps, PROCMAP_QUERY, &q) < 0) return errno == ENOENT ? 0 : -1;
    if (q.start >= in.end) return 0;
    if (q.name_size == 0) name[0] = 0;
    struct mapping one = {larger(q.start, in.start), smaller(q.end, in.end), q.vma_flags & 7,
                          backing_of(q.vma_flags & QUERY_SHARED, q.inode)};
    if (append(found, one) < 0) return -1;
    at = q.end;
  }
  return 0;
}

static int read_text(int fd, struct span in, struct mappings *found) {
  static char line[NAME_SIZE + 128];
  FILE *maps = fdopen(fd, "r");
  int result = maps ? 0 : -1;
  while (result == 0 && fgets(line, sizeof line, maps)) {
    uint64_t start, end, inode;
    char flags[8];
    name[0] = 0;
    if (sscanf(line, "%lx-%lx %7s %*x %*x:%*x %lu %4095[^\n]", &start, &end, flags, &inode, name) < 4) continue;
    if (end <= in.start || start >= in.end) continue;
    int prot = (flags[0] == 'r' ? PROT_READ : 0) | (flags[1] == 'w' ? PROT_WRITE : 0) | (flags[2] == 'x' ? PROT_EXEC : 0);
    struct mapping one = {larger(start, in.start), smaller(end, in.end), prot, backing_of(flags[3] == 's', inode)};
    result = append(found, one);
  }
  if (maps) fclose(maps);
  else close(fd);
  return result;
}

int list_mappings(pid_t tid, struct span in, int files, struct mappings *found) {
  char path[64];
  *found = (struct mappings){0, NULL};
  snprintf(path, sizeof path, "/proc/%d/maps", tid);
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return -1;
  int result = query_all(fd, in, files, found);
  if (result < 0 && errno == ENOTTY) return read_text(fd, in, found);
  close(fd);
  return result;
}

void free_mappings(struct mappings *m) { free(m->list), *m = (struct mappings){0, NULL}; }

int meets_layer(pid_t tid, struct span in) {
  struct mappings m;
  int met = 0;
  if (list_mappings(tid, in, 1, &m) == 0)
    for (size_t i = 0; i < m.count; i++) met |= m.list[i].backing == LAYER;
  free_mappings(&m);
  return met;
}

static FILE *open_proc(pid_t tid, const char *what) {
  char path[64];
  snprintf(path, sizeof path, "/proc/%d/%s", tid, what);
  return fopen(path, "re");
}

/* Calls `use` with the flags of each mapping that meets the range, as in "VmFlags: rd wr mr mw me ac sd", until it says no. */
static void each_flags(pid_t tid, struct span in, int (*use)(uint64_t start, char *flags, void *data), void *data) {
  static char line[NAME_SIZE + 128];
  uint64_t start = 0, end = 0, a, b;
  FILE *smaps = open_proc(tid, "smaps");
  while (smaps && fgets(line, sizeof line, smaps)) {
    if (sscanf(line, "%lx-%lx ", &a, &b) == 2) start = a, end = b;
    if (start >= in.end) break;
    if (end > in.start && !strncmp(line, "VmFlags:", 8) && !use(start, line + 8, data)) break;
  }
  if (smaps) fclose(smaps);
}

static int locks_memory(pid_t tid) {
  char line[256];
  unsigned long kb = 0;
  FILE *status = open_proc(tid, "status");
  while (status && fgets(line, sizeof line, status))
    if (sscanf(line, "VmLck: %lu", &kb) == 1) break;
  if (status) fclose(status);
  return kb > 0;
}

static int find_locked(uint64_t start, char *flags, void *data) {
  if (!strstr(flags, " lo")) return 1;
  *(uint64_t *)data = start;
  return 0;
}

uint64_t refused_from(pid_t tid, const struct mappings *m, int frees, int locked_too) {
  uint64_t end = ADDRESS_END;
  if (m->count == 0) return end;
  struct span in = {m->list[0].start, m->list[m->count - 1].end};
  if (!locked_too && locks_memory(tid)) each_flags(tid, in, find_locked, &end);
  for (size_t i = 0; frees && i < m->count; i++)
    if (m->list[i].backing == OTHER) return smaller(end, m->list[i].start);
  return end;
}

#define UNKNOWN (-1)

/* Of several mappings: nothing tells them from memory made anew, and all are marked MADV_DONTFORK, or none. */
struct likeness {
  int plain, marked;
};

/* Flags that memory made anew has too, or whose loss shows in nothing but speed, and in core dumps. */
static int is_plain(const char *flag) {
  static const char *const plain[] = {"rd", "wr", "ex", "mr", "mw", "me", "ac", "nr", "sd", "hg", "nh", "mg", "dd"};
  for (size_t i = 0; i < sizeof plain / sizeof *plain; i++)
    if (!strcmp(flag, plain[i])) return 1;
  return 0;
}

static int compare_flags(uint64_t start, char *flags, void *data) {
  (void)start;
  struct likeness *all = data;
  int marked = 0;
  for (char *flag = strtok(flags, " \n"); flag; flag = strtok(NULL, " \n"))
    if (!strcmp(flag, "dc")) marked = 1;
    else all->plain &= is_plain(flag);
  if (all->marked != UNKNOWN) all->plain &= all->marked == marked;
  all->marked = marked;
  return all->plain;
}

int is_absent_in_children(pid_t tid, struct span in) {
  struct likeness all = {1, UNKNOWN};
  each_flags(tid, in, compare_flags, &all);
  return all.marked == 1;
}

int was_one(pid_t tid, struct span in, const struct mappings *m) {
  struct likeness all = {1, UNKNOWN};
  if (m->count < 2 || m->list[0].start != in.start || m->list[m->count - 1].end != in.end) return 0;
  for (size_t i = 0; i < m->count; i++) {
    const struct mapping *one = &m->list[i];
    if (one->backing == OTHER || one->prot != m->list[0].prot) return 0;
    if (i && one->start != m->list[i - 1].end) return 0;
  }
  each_flags(tid, in, compare_flags, &all);
  return all.plain;
}
