/* row_warning: what a finished row says against itself, in a sentence for the person who runs it.
 *
 * The one idea: the columns have the facts; a warning names the one that matters and what to do next. It
 * finds nothing new, and rows that did not run have their reason in their status. */
#ifndef TARE_ROW_WARNING_H
#define TARE_ROW_WARNING_H

#include "row.h"

/* Writes the warning of an `ok` row, "" where there is none: it did not settle, its mean contains slow
 * first runs, or `noise` has something to say. Returns whether there is one. */
bool row_warning(const RowResult *r, FieldTEXT text);

#endif
