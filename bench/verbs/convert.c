/* convert: `tare convert`: a checkpoint in another number format, as a new directory. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/files/convert.h"
#include "model/files/paths.h"
#include "bench/commands.h"
#include "bench/util/interrupt.h"
#include "bench/util/options.h"

static DType format_of(const char *name)
{
    return strcmp(name, "bf16") == 0 ? DT_BF16 : strcmp(name, "fp16") == 0 ? DT_F16 : DT_I8;
}

int cmd_convert(int argc, char **argv, Err *err)
{
    const char *format = NULL;
    const Option options[] = {
        option_text("--format", "FORMAT", &format, "bf16|fp16|int8",
                    "bf16, fp16, or int8 with one scale an output"),
    };
    const Command command = {
        .verb = "convert",
        .arguments = "MODEL_DIR OUT",
        .summary = "Writes a model's weights in another format, into a new directory.",
        .options = options,
        .num_options = COUNT_OF(options),
        .min_arguments = 2,
        .max_arguments = 2,
        .notes =
            "MODEL_DIR is a Hugging Face directory; OUT must not exist and appears only when it\n"
            "is complete. bf16 and fp16 directories are read by the transformers library, too.\n"
            "int8: matrix NAME as I8 with NAME.scale as F32, one a row, or a column where\n"
            "GPT-2 stores [in, out]; vectors stay F32.\n",
    };
    const char *arguments[2];
    size_t count;
    OptionsOutcome outcome = options_parse(&command, argc, argv, arguments, &count, err);
    if (outcome != OPTIONS_RUN)
        return outcome == OPTIONS_HELP ? EXIT_OK : EXIT_BAD_INPUT;
    if (!format) {
        err_set(err, "convert: --format is missing; it is bf16, fp16 or int8");
        return EXIT_BAD_INPUT;
    }
    interrupt_install();
    char *out = path_to_make(arguments[1]);
    int status = model_convert(arguments[0], out, format_of(format), interrupted, err);
    free(out);
    if (status == 0)
        return EXIT_OK;
    return interrupted() ? EXIT_INTERRUPTED : EXIT_BAD_INPUT;
}
