/* paths: where a path leads before anything is written there, and the temporary name under which it
 * is written. A symbolic link that leads to nothing yet counts as what it names, for all that is
 * written. */
#pragma once

#include "autograd/base.h"

/* The path with every symbolic link followed, also where the last one leads to nothing yet; the
 * path itself where it cannot be followed. Caller frees. */
char *path_target(const char *path);

/* The path itself where something is there, else path_target: where it is to be made. Caller
 * frees. */
char *path_to_make(const char *path);

/* -1 and why `path` could not be made, by errno: "cannot create 'a/b': there is no folder 'a'". */
int path_refuse(const char *path, Err *err);

/* TARGET.tmp.PID: what is written under this name, locked by temporary_lock, becomes TARGET when
 * it is complete. Removes what killed processes left under such names: those whose number no
 * process has and that nobody has locked (a process of another container has other numbers). A
 * folder goes only where it holds nothing but files of the names in `files` (NULL-terminated) and
 * their temporary ones. Caller frees. */
char *path_temporary(const char *target, const char *const *files);

/* Locks an open file or folder until the last descriptor of it is closed. */
void temporary_lock(int fd);

/* Removes a folder that holds no folders, with its files. */
void folder_remove(const char *folder);
