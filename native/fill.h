/* What the files of the filler share; fill.c tells its protocol. */
#include "init.h"
#include <linux/userfaultfd.h>

#define PAGE 4096ULL /* of memory and of layers */

/* A mapping, or a part of one, and where its contents lie in a layer. */
struct region {
  uint64_t address, length, offset;
  int layer;
};

struct range {
  uint64_t address, length;
};

/* A process: one for each address space. Both lists ascend and do not overlap. */
struct process {
  pid_t pid;
  size_t region_count, present_count;
  struct region *regions;
  struct range *present;
};

struct job {
  size_t count;
  struct process *processes;
};

/* fill.c */
/* Prints `error STAGE ERRNO` and ends. */
void fail(const char *stage);
/* Where the layer's data go on, at OFFSET or after it, and where they end; END when there are none before END. */
uint64_t next_data(int layer, uint64_t offset, uint64_t end, uint64_t *data_end);
/* The whole range, or the program ends: what is missing must not become zeros. */
void read_layer(int layer, void *buffer, uint64_t size, uint64_t offset);

/* copy.c */
void copy_all(const struct job *job);
/* [AT, END) of a region, by this process. */
void copy_part(pid_t pid, int memory, const struct region *r, uint64_t at, uint64_t end);

/* uffd.c */
/* A userfaultfd of the memory of PID, whose task waits; NULL, or the stage that failed. */
const char *take_userfaultfd(pid_t pid, int device, int *uffd);

/* lazy.c */
int lazy_main(const struct job *job, const char *lock, pid_t victim);
