/* Putting anonymous memory in the place of layers. */
#include "guard.h"

#define CHUNK (4ULL << 20)

static int open_memory(pid_t tid) {
  char path[64];
  snprintf(path, sizeof path, "/proc/%d/mem", tid);
  return open(path, O_RDWR | O_CLOEXEC);
}

static long advise(pid_t caller, uint64_t start, uint64_t size, int advice) {
  return inject_call(caller, SYS_madvise, start, size, advice, 0, 0, GUARD_OWN_CALL);
}

/* Whether children do not get the mapping (MADV_DONTFORK). Only smaps tells, which counts all pages of a program for it; but a
 * marked mapping of several pages is divided when the mark is taken from one of them. */
static int is_marked(pid_t caller, const struct mapping *one) {
  struct span page = {one->start, one->start + PAGE_BYTES}, around = {page.start - PAGE_BYTES, page.end + PAGE_BYTES};
  struct mappings before, after = {0, NULL};
  int divided = 1, alone = list_mappings(caller, around, 0, &before) < 0;
  for (size_t i = 0; i < before.count; i++) alone |= before.list[i].start == page.start && before.list[i].end == page.end;
  if (!alone && advise(caller, page.start, PAGE_BYTES, MADV_DOFORK) == 0 && list_mappings(caller, around, 0, &after) == 0)
    divided = after.count != before.count || memcmp(before.list, after.list, after.count * sizeof *after.list);
  if (!alone && divided) advise(caller, page.start, PAGE_BYTES, MADV_DONTFORK);
  free_mappings(&before), free_mappings(&after);
  return alone ? is_absent_in_children(caller, page) : divided;
}

/* Reserved memory is charged as the program's own is, so that the kernel may join the two; where that much cannot be
 * promised, it was not promised before either. */
static int map_anew(pid_t caller, uint64_t start, uint64_t size, int prot, int marked) {
  int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED;
  long at = inject_call(caller, SYS_mmap, start, size, prot, flags, -1, 0);
  if (at == -ENOMEM) at = inject_call(caller, SYS_mmap, start, size, prot, flags | MAP_NORESERVE, -1, 0);
  if ((uint64_t)at == start && marked) advise(caller, start, size, MADV_DONTFORK);
  return (uint64_t)at == start ? 0 : -1;
}

void discard_aloud(pid_t caller, struct span in) { advise(caller, in.start, in.end - in.start, MADV_DONTNEED); }

int discard(pid_t caller, const struct mappings *m) {
  int result = 0;
  for (size_t i = 0; i < m->count; i++) {
    const struct mapping *one = &m->list[i];
    if (one->backing != LAYER) continue;
    if (map_anew(caller, one->start, one->end - one->start, one->prot, is_marked(caller, one)) < 0) result = -1;
  }
  return result;
}

static int is_zero(const char *page) { return page[0] == 0 && memcmp(page, page + 1, PAGE_BYTES - 1) == 0; }

/* The first page from `at` on that is zero, or is not. */
static uint64_t skip(const char *data, uint64_t size, uint64_t at, int zero) {
  while (at < size && is_zero(data + at) == zero) at += PAGE_BYTES;
  return at;
}

static int read_whole(int memory, char *data, uint64_t size, uint64_t start) {
  for (uint64_t done = 0; done < size;) {
    ssize_t n = pread(memory, data + done, size - done, start + done);
    if (n <= 0) return -1;
    done += n;
  }
  return 0;
}

static int write_whole(int memory, const char *data, uint64_t size, uint64_t start) {
  for (uint64_t done = 0; done < size;) {
    ssize_t n = pwrite(memory, data + done, size - done, start + done);
    if (n <= 0) return -1;
    done += n;
  }
  return 0;
}

/* From the first page mapped anew to the last one written, nobody but us has the content: when it cannot be written (no memory
 * is left), the program ends rather than go on with less. */
static int move_chunk(pid_t caller, int memory, char *data, struct span in, const struct mapping *one, int marked) {
  uint64_t start = in.start, size = in.end - in.start;
  if (read_whole(memory, data, size, start) < 0 || map_anew(caller, start, size, one->prot, marked) < 0) return -1;
  for (uint64_t at = skip(data, size, 0, 1), end; at < size; at = skip(data, size, end, 1)) {
    end = skip(data, size, at, 0);
    if (write_whole(memory, data + at, end - at, start + at) < 0) return kill(process_of(caller), SIGKILL), -1;
  }
  return 0;
}

/* Chunks ascend: each new one has not been written yet, so that the kernel joins it to the one before, and the whole becomes
 * one mapping. */
int dissolve(pid_t caller, const struct mappings *m, int whole) {
  int memory = open_memory(caller), result = memory < 0 ? -1 : 0;
  char *data = mmap(NULL, CHUNK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (data == MAP_FAILED) result = -1;
  for (size_t i = 0; result == 0 && i < m->count; i++) {
    const struct mapping *one = &m->list[i];
    if (one->backing != LAYER && !(whole && one->backing == ANONYMOUS)) continue;
    int marked = is_marked(caller, one);
    for (uint64_t at = one->start; result == 0 && at < one->end; at += CHUNK)
      result = move_chunk(caller, memory, data, (struct span){at, one->end - at < CHUNK ? one->end : at + CHUNK}, one, marked);
  }
  if (data != MAP_FAILED) munmap(data, CHUNK);
  if (memory >= 0) close(memory);
  return result;
}

static int zero_page(int memory, uint64_t at) {
  static const char zeros[PAGE_BYTES];
  char page[PAGE_BYTES];
  if (read_whole(memory, page, PAGE_BYTES, at) < 0) return -1;
  return is_zero(page) ? 0 : write_whole(memory, zeros, PAGE_BYTES, at);
}

int write_zeros(pid_t tid, const struct mappings *m) {
  int memory = open_memory(tid), result = memory < 0 ? -1 : 0;
  for (size_t i = 0; i < m->count && result == 0; i++) {
    if (m->list[i].backing == OTHER) continue;
    for (uint64_t at = m->list[i].start; at < m->list[i].end && result == 0; at += PAGE_BYTES)
      result = zero_page(memory, at);
  }
  if (memory >= 0) close(memory);
  return result;
}
