/* paths: where a path leads before anything is written there. A symbolic link that leads to
 * nothing yet counts as what it names, for all that is written. */
#ifndef TARE_MODEL_FILES_PATHS_H
#define TARE_MODEL_FILES_PATHS_H

/* The path with every symbolic link followed, also where the last one leads to nothing yet; the
 * path itself where it cannot be followed. Caller frees. */
char *path_target(const char *path);

/* The path itself where something is there, else path_target: where it is to be made. Caller
 * frees. */
char *path_to_make(const char *path);

#endif
