/* config: what a row is told to do, between a sweep config, the command line of `tare run` and
 * the row's identity.
 *
 * The one idea: all three are loops over the CONFIG lines of fields.def. Nothing here estimates or
 * runs. */
#pragma once

#include "model/config.h"
#include "bench/util/options.h"
#include "bench/row/row.h"

/* Every field at its default, no model chosen: MODEL and SHAPE fields are missing. threads:
 * threads_default(). gemm: what gemm_select
 * chose last, which main does by TARE_GEMM. */
void row_config_init(RowConfig *c);

/* Sets one field from text, with the checks of fields.def: wrong type, out of range, no such
 * choice. recompute takes what recompute_parse does. num_warmups also takes "auto" and "window"; a
 * number ends those modes. The error names field and value; the caller prefixes the place. */
int row_config_set(RowConfig *c, const Field *f, const char *text, Err *err);

/* Whether the row counts its warmups while it runs: num_warmups = "auto" or "window". */
bool row_config_finds_warmups(const RowConfig *c);

/* num_processes; 1 where an older file does not tell. */
int64_t row_processes(const RowConfig *c);

/* Copies the MODEL and SHAPE fields that c is missing. */
void row_config_fill(RowConfig *c, const RowConfig *from);

/* Fills what is missing of the model: from model_dir everything, model_size too; else from the
 * built-in shape that model_size names, width, layers and heads of the five sizes of any arch,
 * everything of a published model. A name that is not built in fills nothing. -1: model_dir cannot
 * be read, or the row says other than it. */
int row_config_take_shape(RowConfig *c, Err *err);

/* The same, then the defaults of what is still missing; what the row's task and
 * its number of ranks do not have is cleared. -1: no such shape and no dimensions, or a
 * published model with another arch than its own. */
int row_config_complete(RowConfig *c, Err *err);

/* Checks fields against each other: heads divide d_model, the arch has what is set, the weights and
 * the tokens of a trial can be counted, the model of model_dir has that many positions. */
int row_config_check(const RowConfig *c, Err *err);

ModelConfig row_config_model(const RowConfig *c);

RowTask row_task(const RowConfig *c);
void row_config_set_task(RowConfig *c, RowTask task);

/* Positions of a sequence at the end of a trial, and tokens of a trial, of all sequences: of decode
 * those that are generated. */
size_t row_positions(const RowConfig *c);
double row_tokens(const RowConfig *c);

enum { ROW_ID_SIZE = 18 };
/* "r" and 16 hexadecimal digits: FNV-1a (Fowler, Noll & Vo) of "name=value\n" over the config
 * fields that are not at their fallback, so that a new column changes no id; a fallback that
 * changes raises ROW_SCHEMA and ROW_ID_SCHEMA. A SHAPE field counts where row_config_complete would
 * not make it what it is; beside a model_dir, which counts as it is written, none does. num_warmups
 * counts as "auto" or "window" where it is. */
void row_id(const RowConfig *c, char id[ROW_ID_SIZE]);

/* small/128/fwdbwd/w5 or small/128/fwd/wauto; of prefill small/pp512, of decode small/tg128 or
 * small/tg128@d512, with /b8 behind it for a batch of 8; into TEXT_SIZE bytes. */
void row_name(const RowConfig *c, char *name);

/* The first config field in which two rows differ, or NULL. */
const Field *row_config_difference(const RowConfig *a, const RowConfig *b);

/* A NULL-terminated argument vector that repeats this row: program, "run", "--model", ... An option
 * at its fallback is left out, as in row_id: an older program need not know it. Free with
 * argv_free (util/process.h). */
char **row_argv(const RowConfig *c, const char *program);

/* The options of `tare run` that set `c`, one per config field that has one; `options` has room for
 * num_row_fields. Returns how many. */
size_t row_options(RowConfig *c, Option *options);
