/* compare_expand: see compare_expand.h. */
#include "compare_expand.h"

#include <regex.h>
#include <stdio.h>

static void multiply_out(CompareConfig *c, const CellLists *l)
{
    size_t count = l->num_models * l->num_components * l->num_seq_lens * l->num_batch_sizes;
    c->cells = xrealloc(c->cells, (c->num_cells + count) * sizeof *c->cells);
    for (size_t m = 0; m < l->num_models; m++)
        for (size_t k = 0; k < l->num_components; k++)
            for (size_t s = 0; s < l->num_seq_lens; s++)
                for (size_t b = 0; b < l->num_batch_sizes; b++)
                    c->cells[c->num_cells++] = (CompareCell){.component = l->components[k],
                                                             .model = l->models[m],
                                                             .batch_size = l->batch_sizes[b],
                                                             .seq_len = l->seq_lens[s],
                                                             .rounds = (size_t)l->rounds,
                                                             .fresh_process = l->fresh_process};
}

/* A tokenizer takes whole texts; everything else needs a length. */
static int settle_lengths(CellLists *l, Err *err)
{
    bool tokenizer = l->components[0]->kind == COMPONENT_TOKENIZER;
    for (size_t k = 1; k < l->num_components; k++)
        if ((l->components[k]->kind == COMPONENT_TOKENIZER) != tokenizer)
            return err_set(err, "a tokenizer has no seq_len: give it a [[cell]] of its own");
    if (tokenizer && l->num_seq_lens > 0)
        return err_set(err, "a tokenizer has no seq_len");
    if (!tokenizer && l->num_seq_lens == 0)
        return err_set(err, "a [[cell]] without seq_len");
    if (tokenizer)
        l->seq_lens[l->num_seq_lens++] = 0;
    for (size_t s = 0; s < l->num_seq_lens; s++)
        if (l->components[0]->from_text && l->seq_lens[s] == 1)
            return err_set(err, "seq_len = 1 leaves no room for the two special ids of a text");
    return 0;
}

int compare_expand(CompareConfig *c, CellLists *lists, Err *err)
{
    if (settle_lengths(lists, err) != 0)
        return -1;
    multiply_out(c, lists);
    return 0;
}

int compare_filter(CompareConfig *c, const char *filter, Err *err)
{
    regex_t pattern;
    if (regcomp(&pattern, filter, REG_EXTENDED | REG_NOSUB) != 0)
        return err_set(err, "--filter '%s' is no regular expression", filter);
    size_t kept = 0;
    for (size_t i = 0; i < c->num_cells; i++) {
        char name[COMPARE_CELL_NAME];
        compare_cell_name(c, &c->cells[i], name);
        if (regexec(&pattern, name, 0, NULL, 0) == 0)
            c->cells[kept++] = c->cells[i];
    }
    c->num_cells = kept;
    regfree(&pattern);
    return kept > 0 ? 0 : err_set(err, "%s: --filter '%s' leaves no cell", c->path, filter);
}

void compare_cell_name(const CompareConfig *c, const CompareCell *cell,
                       char name[COMPARE_CELL_NAME])
{
    int n = snprintf(name, COMPARE_CELL_NAME, "%s/%s/b%zu", c->models[cell->model].name,
                     cell->component->name, cell->batch_size);
    if (cell->seq_len > 0)
        snprintf(name + n, COMPARE_CELL_NAME - (size_t)n, "s%zu", cell->seq_len);
}
