/* comm: `tare comm`: collective operations among ranks, by MPI's own algorithms and by ours. */
#include <stdio.h>
#include <stdlib.h>

#include "bench/comm/study.h"
#include "bench/commands.h"
#include "bench/result/file.h"
#include "bench/util/config.h"
#include "bench/util/interrupt.h"
#include "bench/util/table.h"

typedef struct CommCommand {
    ConfigCommand config;
    const char *out, *format;
    bool overwrite, overlap, is_rank;
    int64_t result_fd; /* -1: none */
} CommCommand;

static int read_command(CommCommand *c, int argc, char **argv, Err *err)
{
    const Option options[] = {
        option_text("--out", "FILE.csv", &c->out, NULL,
                    "the result file; results/NAME.csv by default"),
        option_flag("--overwrite", &c->overwrite, "replace an existing result"),
        option_text("--format", "FORMAT", &c->format, TABLE_FORMATS, "of standard output"),
        option_flag("--overlap", &c->overlap,
                    "also compute meanwhile, and say how much of it that hides: overlap=true"),
        option_int("--result-fd", "N", &c->result_fd, 0, 1 << 20,
                   "run the only row and write the result as JSON to this open descriptor"),
        option_flag("--is-rank", &c->is_rank,
                    "with --result-fd: the launcher has started this process"),
    };
    const Command command = {
        .verb = "comm",
        .summary = "Time of collective operations among ranks, by MPI and by our ring; every "
                   "element is checked.",
        OPTIONS(options),
        .arguments.text = "[CONFIG.toml]",
        .notes =
            "Without a config: all_reduce of 1, 10, 100 and 1,000 MB among 2, 4 and 6 ranks.\n"
            "exit: 0 every row ran or was skipped, 1 a row failed, 2 bad command or config, or "
            "a\n"
            "      result that cannot be written, 130 interrupted\n"};
    int outcome = config_command_parse(&c->config, &command, comm_config_file(),
                                       "only rows whose name matches, like "
                                       "all_reduce/1000000/r2/ring",
                                       argc, argv, err);
    if (outcome == OPTIONS_RUN && c->overlap)
        text_list_add(&c->config.settings, "overlap=true");
    return outcome;
}

static int run_study(CommStudy *s, const CommCommand *c, Err *err)
{
    OWNED char *path = result_file_path(c->out, s->config.name, err);
    if (!path)
        return -1;
    interrupt_install();
    if (comm_study_run(s, path, c->overwrite, stderr, err) != 0)
        return -1;
    size_t bad = comm_study_show(s, c->format, stdout);
    return interrupted() ? EXIT_INTERRUPTED : bad ? EXIT_NOT_OK : EXIT_OK;
}

int cmd_comm(int argc, char **argv, Err *err)
{
    CommCommand c = {.format = "table", .result_fd = -1};
    CommStudy s;
    int code = read_command(&c, argc, argv, err);
    if (code == OPTIONS_RUN) {
        code = comm_study_init(&s, c.config.path, &c.config.settings, c.config.filter, err);
        if (code == 0) {
            code = c.result_fd < 0 ? run_study(&s, &c, err)
                                   : comm_study_answer(&s, c.is_rank, (int)c.result_fd, err);
            comm_study_release(&s);
        }
    }
    config_command_release(&c.config);
    return code;
}
