/*
 * The part of AppShot that must be one thread: what lives inside an environment.
 *
 *   init maker SKELETON -- CRIU...        waits for requests, makes environments, leaves the PID 1 of each running, tells those PIDs
 *   init chain                            the first process of an application: starts its processes, reaps its orphans
 *   init swrk PID CRIU...                 runs `criu swrk` inside the environment of PID, outside its user namespace
 *   init enter PID CHAIN CAPS UID GID GROUPS CWD CGROUP... -- COMMAND...   runs a command inside an application
 *   init fill copy|lazy ...           brings memory from layers into restored processes; fill.c tells how
 *   init guard-filter                     prints the guard's filter in hexadecimal digits: snapshots contain it; guard.c tells why
 *   init guard PREFIX -- COMMAND...       for tests: runs a command under guard; files below PREFIX are its layers
 *   init inject PID COUNT                 for tests: lets a task execute getpid() so many times, stopping it each time
 *
 * PID 1 serves its control socket (DIR/control). A frame is a 32-bit little-endian length and that many bytes: fields that
 * end with NUL, the first of them a verb; descriptors travel with its first byte. It answers `ok` or `error STAGE ERRNO`,
 * and tells of its own accord `hello STATE`, `criu BYTES`, `criu-ended`, `chain-ended STATUS`. A daemon may come and go:
 * PID 1 stays, and says hello to the next one.
 */
#include "init.h"

int main(int argc, char **argv) {
  const char *verb = argc > 1 ? argv[1] : "";
  if (!strcmp(verb, "chain")) return chain_main();
  if (!strcmp(verb, "maker") && argc > 4) return maker_main(argv + 2);
  if (!strcmp(verb, "swrk") && argc > 3) return swrk_main(argv + 2);
  if (!strcmp(verb, "enter") && argc > 10) return enter_main(argv + 2);
  if (!strcmp(verb, "fill") && argc > 2) return fill_main(argv + 2);
  if (!strcmp(verb, "guard-filter")) return guard_filter_main();
  if (!strcmp(verb, "guard") && argc > 4) return guard_main(argv + 2);
  if (!strcmp(verb, "inject") && argc > 3) return inject_main(argv + 2);
  fprintf(stderr, "usage: init maker|chain|swrk|enter|fill ...; it is started by the daemon\n");
  return 2;
}
