/* paths: where a path leads before anything is written there. */
#ifndef TARE_BENCH_UTIL_PATHS_H
#define TARE_BENCH_UTIL_PATHS_H

/* The path with every symbolic link followed, also where the last one leads to nothing yet; the
 * path itself where it cannot be followed. Caller frees. */
char *path_target(const char *path);

#endif
