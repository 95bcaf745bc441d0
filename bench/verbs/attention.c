/* attention: `tare attention`: one attention layer by two implementations, over shapes. */
#include <stdio.h>
#include <stdlib.h>

#include "bench/attention/study.h"
#include "bench/commands.h"
#include "bench/result/file.h"
#include "bench/util/config.h"
#include "bench/util/interrupt.h"
#include "bench/util/table.h"

typedef struct AttentionCommand {
    ConfigCommand config;
    const char *out, *format;
    bool overwrite, parity;
    int64_t result_fd; /* -1: none */
} AttentionCommand;

static int read_command(AttentionCommand *c, int argc, char **argv, Err *err)
{
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
    int outcome = config_command_parse(
        &c->config, &command, attention_config_file(),
        "only rows whose name matches, like flash/b8/h1/t1024/d64/causal/fp32", argc, argv, err);
    if (outcome == OPTIONS_RUN && c->parity && c->result_fd < 0)
        return err_set(err, "--parity needs --result-fd");
    return outcome;
}

static int run_study(AttentionStudy *s, const AttentionCommand *c, Err *err)
{
    char *path = result_file_path(c->out, s->config.grid.name, err);
    if (!path)
        return -1;
    interrupt_install();
    int status = attention_study_run(s, path, c->overwrite, stderr, err);
    free(path);
    if (status != 0)
        return -1;
    size_t bad = attention_study_show(s, c->format, stdout);
    return interrupted() ? EXIT_INTERRUPTED : bad ? EXIT_NOT_OK : EXIT_OK;
}

static int read_and_run(const AttentionCommand *c, Err *err)
{
    AttentionStudy s;
    if (attention_study_init(&s, c->config.path, &c->config.settings, c->config.filter, err) != 0)
        return -1;
    int code = c->result_fd < 0 ? run_study(&s, c, err)
                                : attention_study_answer(&s, c->parity, (int)c->result_fd, err);
    attention_study_release(&s);
    return code;
}

int cmd_attention(int argc, char **argv, Err *err)
{
    AttentionCommand c = {.format = "table", .result_fd = -1};
    int code = read_command(&c, argc, argv, err);
    if (code == OPTIONS_RUN)
        code = read_and_run(&c, err);
    config_command_release(&c.config);
    return code;
}
