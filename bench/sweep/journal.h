/* journal: NAME.processes.jsonl, the finished processes of rows that have more to run.
 *
 * The one idea: a row of several processes gets its line in NAME.csv after the last of them, which
 * may be hours later, so each process's answer is kept until then, a JSON document a line. A kill
 * at any moment costs the process that was running. Whoever holds NAME.csv's lock holds this. */
#pragma once

#include "bench/row/row.h"
#include "bench/row/samples.h"

typedef struct Journal {
    char *path;
    int fd; /* -1 until there is a line */
} Journal;

/* For the result at that path; touches no file. */
void journal_init(Journal *j, const char *result_path);
void journal_close(Journal *j);

/* Whether such a file is there. */
bool journal_exists(const Journal *j);

/* Takes one line over: `r` is ok, its row_id is that of its config, its runs are as many as that
 * says, each with a positive time. The callee may keep neither. */
typedef int JournalTake(void *context, const RowResult *r, const Samples *samples, double seconds,
                        Err *err);

/* Reads every line, in order, and cuts off a torn last one. -1, "file:line: ...": not what
 * journal_add writes, or `take` refuses it. No file: nothing to take. */
int journal_read(Journal *j, JournalTake *take, void *context, Err *err);

/* Adds a process that took so many seconds. On -1 (a full disk) no part of it is left. */
int journal_add(Journal *j, const RowResult *r, const Samples *samples, double seconds, Err *err);

/* Removes the file, if there is one. */
int journal_remove(Journal *j, Err *err);
