/* paths: where a path leads before anything is written there, whether that may be replaced, and the
 * temporary name under which it is written. A symbolic link that leads to nothing yet counts as
 * what it names, for all that is written. */
#pragma once

#include "autograd/base.h"

/* The path with every symbolic link followed, also where the last one leads to nothing yet; the
 * path itself where it cannot be followed. Caller frees. */
char *path_target(const char *path);

/* The path itself where something is there, else path_target: where it is to be made. Caller
 * frees. */
char *path_to_make(const char *path);

/* Whether bytes are added to what is at `path` instead of a file being put there: a device, a pipe,
 * a file without a name (a link of /proc/self/fd to it), or the file that is standard output. */
bool path_is_stream(const char *path);

/* A descriptor to add bytes to a stream; of standard output the same one, so that what is printed
 * later comes behind them. -1: errno says why. */
int path_open_stream(const char *path);

/* The one rule of existing files: what is there is refused unless `overwrite`; a stream is written
 * to. */
int path_check_new(const char *path, bool overwrite, Err *err);

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
