/* What the files of the guard share; guard.c tells its protocol, docs/memory.md why it is sound. */
#include "init.h"

#define PAGE_BYTES 4096ULL
#define GUARD_OWN_CALL 0x47535041 /* as a sixth argument: advice that is given by the guard itself passes its filter */
#define ADDRESS_END (1ULL << 56) /* above every address of a program */

struct span {
  uint64_t start, end;
};

enum backing { LAYER, ANONYMOUS, OTHER };

/* A mapping, or the part of one that lies in a range. */
struct mapping {
  uint64_t start, end;
  int prot;
  enum backing backing;
};

struct mappings {
  size_t count;
  struct mapping *list;
};

/* mappings.c */
/* The parts of TID's mappings in a range, ascending; only those of files with `files`. free_mappings() afterwards. -1: errno. */
int list_mappings(pid_t tid, struct span in, int files, struct mappings *found);
void free_mappings(struct mappings *m);
int meets_layer(pid_t tid, struct span in);
/* Where the kernel would refuse to go on discarding `m`: at locked memory, and when it is about to be freed, at files. */
uint64_t refused_from(pid_t tid, const struct mappings *m, int frees, int locked_too);
/* The mapping there is marked MADV_DONTFORK. Reading this takes longer the more memory the program has. */
int is_absent_in_children(pid_t tid, struct span in);
/* Several mappings that a program may have made as one: all anonymous or layers, without a gap, equal in what they allow and in
 * being marked MADV_DONTFORK. */
int was_one(pid_t tid, struct span in, const struct mappings *m);

/* world.c */
/* All tasks of a memory, standing still; one that has ended is negative. */
struct world {
  pid_t caller;
  size_t count;
  pid_t *tasks;
};
/* The process that a task belongs to; -1 when it is gone. */
pid_t process_of(pid_t tid);
/* Stops a task that may be in the engine's hands for some milliseconds yet. */
int seize_patiently(pid_t tid);
/* `caller` is seized, and about to stop; the others follow. -1: nothing may be changed; resume_world() in either case. */
int stop_world(struct world *w, pid_t caller);
void resume_world(struct world *w);

/* rebuild.c: 0, or -1 when something is still a layer. The memory's tasks stand still. */
/* The layers' parts become fresh memory, which reads as zeros. */
int discard(pid_t caller, const struct mappings *m);
/* Discards what may be discarded, as an event for whoever brings this memory (userfaultfd(2)). */
void discard_aloud(pid_t caller, struct span in);
/* The layers' parts become anonymous memory with the same content; the parts that are anonymous already too, with `whole`. */
int dissolve(pid_t caller, const struct mappings *m, int whole);
/* For memory that cannot be mapped anew: zeros are written wherever there is something else. */
int write_zeros(pid_t tid, const struct mappings *m);
