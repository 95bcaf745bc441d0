/* convert: `tare convert`: a checkpoint in another number format, as a new directory. */
#include "model/files/convert.h"
#include "model/files/gguf.h"
#include "model/files/paths.h"
#include "model/precision.h"
#include "bench/commands.h"
#include "bench/util/interrupt.h"
#include "bench/util/options.h"

/* A GGUF file becomes fp32 unless told otherwise. */
static DType format_of(const char *name)
{
    Precision p = PRECISION_FP32;
    Err err;
    CHECK(!name || precision_parse(name, &p, &err) == 0, "%s", err.msg); /* one of the list below */
    return precision_weights(p);
}

int cmd_convert(int argc, char **argv, Err *err)
{
    const char *format = NULL, *paths[2];
    const Option options[] = {
        option_text("--format", "FORMAT", &format, "bf16|fp16|int8|q8_0|q4_0",
                    "bf16, fp16, int8 with one scale an output, q8_0 or q4_0 with one each 32"),
    };
    const Command command = {
        .verb = "convert",
        .arguments = {"MODEL OUT", 2, 2, paths},
        .summary = "Writes a model's weights in another format, into a new directory.",
        OPTIONS(options),
        .notes =
            "MODEL is a Hugging Face directory or a GGUF file, which becomes a directory, in fp32\n"
            "without --format. OUT must not exist and appears only when it is complete. bf16 and "
            "fp16 directories are read by the transformers library, too.\n"
            "int8: matrix NAME as I8 with NAME.scale as F32, one a row, or a column where\n"
            "GPT-2 stores [in, out]; vectors stay F32.\n"
            "q8_0, q4_0: matrix NAME as U8, [outputs, bytes], the blocks of 32 that GGUF files\n"
            "have; vectors stay F32.\n",
    };
    int outcome = options_parse(&command, argc, argv, err);
    if (outcome != OPTIONS_RUN)
        return outcome;
    if (!format && !path_is_gguf(paths[0]))
        return err_set(err, "convert: --format is missing; it is bf16, fp16, int8, q8_0 or q4_0");
    interrupt_install();
    OWNED char *out = path_to_make(paths[1]);
    int status = model_convert(paths[0], out, format_of(format), interrupted, err);
    return status != 0 && interrupted() ? EXIT_INTERRUPTED : status;
}
