/* CSV in and out: what is written reads back, what is wrong is refused with its line. */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/result/csv.h"
#include "bench/result/read.h"
#include "bench/row/config.h"

static CsvTable table_of(const char *text)
{
    CsvTable t;
    Err err;
    cr_assert(csv_load_text(&t, text, strlen(text), "f.csv", &err) == 0, "%s", err.msg);
    return t;
}

static void expect_error(const char *text, size_t len, const char *message)
{
    CsvTable t;
    Err err = {""};
    cr_expect(csv_load_text(&t, text, len, "f.csv", &err) == -1, "accepted: %s", text);
    cr_expect(eq(str, err.msg, (char *)message));
}

#define EXPECT_ERROR(text, message) expect_error(text, sizeof(text) - 1, message)

Test(csv, plain_and_quoted_fields)
{
    CsvTable t = table_of("a,b\n1,\"x, \"\"y\"\"\"\n,\" z \"\n");
    cr_expect(eq(sz, t.columns, 2));
    cr_assert(eq(sz, t.rows, 2));
    cr_expect(eq(str, (char *)csv_cell(&t, 0, 1), "x, \"y\""));
    cr_expect(eq(str, (char *)csv_cell(&t, 1, 0), ""));
    cr_expect(eq(str, (char *)csv_cell(&t, 1, 1), " z "));
    cr_expect(eq(int, t.lines[1], 3));
    csv_release(&t);
}

Test(csv, crlf_bom_blank_lines_and_no_last_newline)
{
    CsvTable t = table_of("\xef\xbb\xbf"
                          "a,b\r\n\r\n1,2\r\n\r\n3,4");
    cr_expect(eq(str, (char *)csv_name(&t, 0), "a"));
    cr_assert(eq(sz, t.rows, 2));
    cr_expect(eq(str, (char *)csv_cell(&t, 1, 1), "4"));
    cr_expect(eq(int, t.lines[0], 3));
    cr_expect(eq(int, t.lines[1], 5));
    csv_release(&t);
}

Test(csv, wrong_files_are_refused_with_their_line)
{
    EXPECT_ERROR("", "f.csv: the file is empty");
    EXPECT_ERROR("a,b\n1,2\n1\n", "f.csv:3: 1 fields where the header has 2 columns");
    EXPECT_ERROR("a,b\n1,2,3\n", "f.csv:2: 3 fields where the header has 2 columns");
    EXPECT_ERROR("a,b\n1,2\n1,\"x\n", "f.csv:3: a quoted field without its closing quote");
    EXPECT_ERROR("a,b\n1,x\"y\n", "f.csv:2: a quote inside a cell, or text behind one");
    EXPECT_ERROR("a;b\n1;\"x,y\"\n",
                 "f.csv:1: a semicolon between columns; save the file with commas");
    EXPECT_ERROR("a\tb\n1\t2\n", "f.csv:1: a tab between columns; save the file with commas");
    EXPECT_ERROR("a,b,a\n", "f.csv:1: column 'a' appears twice");
    EXPECT_ERROR("a,b\n1,\0\n", "f.csv:2: a NUL byte");
}

Test(csv, missing_file_and_directory)
{
    StoredResult s;
    Err err;
    cr_expect(stored_read(&s, "/nonexistent/x.csv", STORED_JUDGE, &err) == -1);
    stored_release(&s);
    cr_expect(stored_read(&s, "/tmp", STORED_JUDGE, &err) == -1);
    stored_release(&s);
    cr_expect(strstr(err.msg, "directory") != NULL);
}

/* A row with every kind of value, awkward ones included. */
static RowResult awkward_row(void)
{
    RowResult r;
    row_result_init(&r);
    row_config_init(&r.config);
    text_set(r.config.model_size, "a \"b\", c");
    r.config.d_model = 36;
    r.config.num_layers = 2;
    r.config.num_heads = 3;
    r.config.forward_only = true;
    r.mean_time_ms = 1.0 / 3;
    r.loss = 4.594786643981934;
    r.model_flops = 1.9e15;
    r.num_params = INT64_C(9007199254740993); /* no double holds it */
    text_set(r.status, STATUS_FAILED);
    text_set(r.status_reason, " killed by SIGSEGV, 100 %");
    return r;
}

static char *written(const RowResult *r)
{
    char *text;
    size_t len;
    FILE *f = open_memstream(&text, &len);
    schema_write_header(&row_schema, f);
    schema_write_record(&row_schema, r, f);
    fclose(f);
    return text;
}

Test(csv, row_reads_back_as_it_was)
{
    RowResult r = awkward_row(), back;
    Err err;
    char *text = written(&r), *again;
    CsvTable t = table_of(text);
    cr_assert(csv_read_record(&t, 0, &row_schema, &back, &err) == 0, "%s", err.msg);
    again = written(&back);
    cr_expect(eq(str, text, again));
    cr_expect(back.mean_time_ms == r.mean_time_ms && back.num_params == r.num_params);
    cr_expect(isnan(back.std_time_ms) && back.peak_rss_bytes == INT_MISSING);
    cr_expect(eq(str, back.status_reason, r.status_reason));
    csv_release(&t);
    free(text);
    free(again);
}

Test(csv, byte_order_mark_in_a_cell_survives)
{
    static const char *const header[] = {"\xef\xbb\xbf"
                                         "a",
                                         "b"};
    char *text;
    size_t len;
    FILE *f = open_memstream(&text, &len);
    csv_write_record(f, header, COUNT_OF(header));
    fclose(f);
    CsvTable t = table_of(text);
    cr_expect(eq(str, (char *)csv_name(&t, 0), (char *)header[0]));
    csv_release(&t);
    free(text);
}

Test(csv, first_columns_are_those_of_the_reference)
{
    const char *reference = "model_size,d_model,context_length,num_layers,num_heads,batch_size,"
                            "num_warmups,num_trials,forward_only,mean_time_ms,std_time_ms,";
    RowResult r = awkward_row();
    char *text = written(&r);
    cr_expect(strncmp(text, reference, strlen(reference)) == 0);
    free(text);
}

Test(csv, other_columns_and_exponents_are_read)
{
    RowResult r;
    Err err;
    CsvTable t = table_of("future,model_size,mean_time_ms,forward_only,num_trials\n"
                          "?,small,1.9265e+02,True,1e1\n");
    cr_assert(csv_read_record(&t, 0, &row_schema, &r, &err) == 0, "%s", err.msg);
    cr_expect(eq(dbl, r.mean_time_ms, 192.65));
    cr_expect(r.config.forward_only && r.config.num_trials == 10);
    csv_release(&t);
}

static void expect_bad_cell(const char *text, const char *message)
{
    RowResult r;
    Err err = {""};
    CsvTable t = table_of(text);
    cr_expect(csv_read_record(&t, 0, &row_schema, &r, &err) == -1, "accepted: %s", text);
    cr_expect(eq(str, err.msg, (char *)message));
    csv_release(&t);
}

Test(csv, bad_cells_are_named)
{
    expect_bad_cell("mean_time_ms\nfast\n", "f.csv:2: mean_time_ms is 'fast', not a finite number");
    expect_bad_cell("mean_time_ms\nnan\n", "f.csv:2: mean_time_ms is 'nan', not a finite number");
    expect_bad_cell("\nd_model\n1.5\n", "f.csv:3: d_model is '1.5', not an integer of 64 bits");
    expect_bad_cell("d_model\n0\n", "f.csv:2: d_model is 0, outside 1 to 16777216");
    expect_bad_cell("forward_only\n2\n", "f.csv:2: forward_only is '2', neither true nor false");
}

Test(csv, samples_read_back)
{
    Samples s;
    Err err;
    char *text;
    size_t len;
    samples_init(&s);
    for (int i = 0; i < 3; i++) {
        Sample sample = sample_empty();
        sample.trial = i + 1;
        sample.is_warmup = i == 0;
        sample.wall_ns = INT64_C(12345678901) + i;
        samples_add(&s, sample);
    }
    FILE *f = open_memstream(&text, &len);
    schema_write_header(&sample_line_schema, f);
    csv_write_samples(f, "r1", &s);
    fclose(f);
    CsvTable t = table_of(text);
    cr_assert(eq(sz, t.rows, 3));
    for (size_t i = 0; i < 3; i++) {
        SampleLine back;
        cr_assert(csv_read_record(&t, i, &sample_line_schema, &back, &err) == 0, "%s", err.msg);
        cr_expect(eq(str, back.row_id, "r1"));
        cr_expect(memcmp(&back.sample, &s.at[i], sizeof back.sample) == 0);
    }
    csv_release(&t);
    samples_release(&s);
    free(text);
}

Test(csv, samples_file_beside_a_result)
{
    char *a = samples_path("results/x.csv"), *b = samples_path("out");
    cr_expect(eq(str, a, "results/x.samples.csv"));
    cr_expect(eq(str, b, "out.samples.csv"));
    free(a);
    free(b);
}
