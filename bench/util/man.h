/* man: the manual page tare.1 in the man macros of roff, printed from the options of the verbs.
 *
 * `tare --man` prints man_page_begin and then, by calling each verb with --man, one man_verb each.
 * Text is printed word for word: every character that roff would read as a command is escaped. */
#pragma once

#include "bench/util/options.h"

/* The page's head: name, synopsis and `description`, then the heading of the verbs. */
void man_page_begin(const char *version, const char *description);

/* A verb: synopsis, summary, options and notes. */
void man_verb(const Command *c);

/* A section of text whose lines stay as they are. */
void man_lines(const char *heading, const char *lines);
