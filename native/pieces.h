/* What the lazy filler still knows of a process's memory (pieces.c). */
#include "fill.h"

/* A region, of which the first `filled` bytes need no more attention. */
struct piece {
  struct region at;
  uint64_t filled;
};

#define NOTHING (-1) /* in place of a layer: its contents were discarded */
#define LEFT (-2)    /* the same, in `older`: it was left already, and only its unmapping is yet to be told */

/* `next` is where the search for what is not filled goes on. `older` is what was at its place before something else moved
 * there, in the order in which it came: the event that takes it away is yet to be read. */
struct pieces {
  size_t count, room, next, older_count;
  struct piece *items, *older;
};

/* Behind the last one. */
void pieces_add(struct pieces *list, const struct region *region);
/* The piece that has the address; NULL when none has. */
struct piece *pieces_find(const struct pieces *list, uint64_t address);
/* Is something expected to move on from where something else is. */
int pieces_pending(const struct pieces *list);
/* The first that is not filled; NULL when all are. */
struct piece *pieces_unfilled(struct pieces *list);
/* For a forked child. */
struct pieces pieces_copy(const struct pieces *list);
void pieces_free(struct pieces *list);
/* The contents were discarded. */
void pieces_drop(struct pieces *list, uint64_t start, uint64_t end);
void pieces_move(struct pieces *list, uint64_t from, uint64_t to, uint64_t length);
void pieces_unmap(struct pieces *list, uint64_t start, uint64_t end);
