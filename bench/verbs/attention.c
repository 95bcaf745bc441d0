/* attention: `tare attention`: one attention layer by two implementations, over shapes. */
#include "bench/attention/study.h"
#include "bench/commands.h"

typedef struct AttentionCommand {
    ConfigCommand config;
    const char *out, *format;
    bool overwrite, parity;
    int64_t result_fd; /* -1: none */
} AttentionCommand;

static int run(void *command, Err *err)
{
    const AttentionCommand *c = command;
    GridStudy s;
    if (c->parity && c->result_fd < 0)
        return err_set(err, "--parity needs --result-fd");
    if (grid_study_init(&s, &attention_verb, &c->config, err) != 0)
        return -1;
    int code = c->result_fd < 0 ? grid_study_command(&s, c->out, c->overwrite, c->format, err)
                                : attention_study_answer(&s, c->parity, (int)c->result_fd, err);
    grid_study_release(&s);
    return code;
}

int cmd_attention(int argc, char **argv, Err *err)
{
    AttentionCommand asked = {.format = "table", .result_fd = -1}, *c = &asked;
    const Option options[] = {
        option_text("--out", "FILE.csv", &c->out, NULL,
                    "the result file; results/NAME.csv by default"),
        option_flag("--overwrite", &c->overwrite, "replace an existing result"),
        option_text("--format", "FORMAT", &c->format, TABLE_FORMATS, "of standard output"),
        option_flag("--parity", &c->parity,
                    "with --result-fd: compare the implementations instead of timing one"),
        option_int("--result-fd", "N", &c->result_fd, 0, 1 << 20,
                   "run the only row in this process and write the result as JSON to this open "
                   "descriptor"),
    };
    const Command command = {
        .verb = "attention",
        .summary = "Time and memory of one attention layer, in tiles (flash) and with all scores "
                   "stored (plain).",
        OPTIONS(options),
        .notes =
            "Each row runs in a fresh process, after both implementations were compared on its "
            "shape.\n"
            "exit: 0 every row ran or was skipped, 1 a row failed or is implausible, 2 bad command "
            "or\n"
            "      config, or a result that cannot be written, 130 interrupted\n"};
    return config_command_run(
        &c->config, &command, attention_config_file(),
        "only rows whose name matches, like flash/b8/h1/t1024/d64/causal/fp32", run, argc, argv,
        err);
}
