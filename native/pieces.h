/* What the lazy filler still knows of a process's memory (pieces.c). */
#include "fill.h"

/* A region, of which the first `filled` bytes need no more attention. */
struct piece {
  struct region at;
  uint64_t filled;
};

/* `next` is where the search for what is not filled goes on. `announced` are ranges that were left already, of which the
 * kernel has yet to tell that they were unmapped. */
struct pieces {
  size_t count, room, next, announced_count;
  struct piece *items;
  struct range *announced;
};

/* Behind the last one. */
void pieces_add(struct pieces *list, const struct region *region);
/* The piece that has the address; NULL when none has. */
struct piece *pieces_find(const struct pieces *list, uint64_t address);
/* The first that is not filled; NULL when all are. */
struct piece *pieces_unfilled(struct pieces *list);
/* For a forked child. */
struct pieces pieces_copy(const struct pieces *list);
void pieces_free(struct pieces *list);
/* The contents were discarded. */
void pieces_drop(struct pieces *list, uint64_t start, uint64_t end);
void pieces_move(struct pieces *list, uint64_t from, uint64_t to, uint64_t length);
void pieces_unmap(struct pieces *list, uint64_t start, uint64_t end);
