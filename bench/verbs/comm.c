/* comm: `tare comm`: collective operations among ranks, by MPI's own algorithms and by ours. */
#include "bench/comm/study.h"
#include "bench/commands.h"

typedef struct CommCommand {
    ConfigCommand config;
    const char *out, *format;
    bool overwrite, overlap, is_rank;
    int64_t result_fd; /* -1: none */
} CommCommand;

static int run(void *command, Err *err)
{
    CommCommand *c = command;
    GridStudy s;
    if (c->overlap)
        text_list_add(&c->config.settings, "overlap=true");
    if (grid_study_init(&s, &comm_verb, &c->config, err) != 0)
        return -1;
    int code = c->result_fd < 0 ? grid_study_command(&s, c->out, c->overwrite, c->format, err)
                                : comm_study_answer(&s, c->is_rank, (int)c->result_fd, err);
    grid_study_release(&s);
    return code;
}

int cmd_comm(int argc, char **argv, Err *err)
{
    CommCommand asked = {.format = "table", .result_fd = -1}, *c = &asked;
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
    return config_command_run(&c->config, &command, comm_config_file(),
                              "only rows whose name matches, like all_reduce/1000000/r2/ring", run,
                              argc, argv, err);
}
