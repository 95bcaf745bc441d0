/* A worker on a pipe, as good and as bad as it may be: whatever it does, an answer or a sentence
 * comes within the limit. The workers here are shell scripts. */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "bench/util/interrupt.h"
#include "bench/row/counters.h"
#include "bench/util/pipe.h"

static Peer start_script(const char *script)
{
    Peer p;
    Err err;
    char *argv[] = {"/bin/sh", "-c", (char *)script, NULL};
    char *settings[] = {"PEER_TEST=set", NULL};
    cr_assert(peer_start(&p, "fake", argv, settings, &err) == 0, "%s", err.msg);
    return p;
}

static json_t *ask(Peer *p, double max_seconds, Err *err)
{
    return peer_ask(p, json_pack("{s:s}", "do", "hello"), max_seconds, err);
}

static void expect_answer(Peer *p, const char *key, const char *value)
{
    Err err = {""};
    json_t *reply = ask(p, 10, &err);
    cr_assert(reply != NULL, "%s", err.msg);
    cr_expect(eq(str, (char *)json_string_value(json_object_get(reply, key)), (char *)value));
    json_decref(reply);
}

/* The first request to this script fails with this sentence, and the script is stopped. */
static void expect_failure(const char *script, double max_seconds, const char *sentence)
{
    Err err = {""};
    Peer p = start_script(script);
    json_t *reply = ask(&p, max_seconds, &err);
    cr_expect(reply == NULL);
    cr_expect(eq(str, err.msg, (char *)sentence));
    cr_expect(not(peer_running(&p)));
    peer_stop(&p); /* does nothing */
}

Test(peer, answers_each_request_in_turn)
{
    Peer p = start_script("n=0; while read -r line; do n=$((n + 1));"
                          " echo \"{\\\"n\\\":\\\"$n\\\",\\\"heard\\\":${#line}}\"; done");
    expect_answer(&p, "n", "1");
    expect_answer(&p, "n", "2");
    peer_stop(&p);
    cr_expect(not(peer_running(&p)));
}

Test(peer, hears_the_request_and_its_settings)
{
    Peer p = start_script("read -r line; [ \"$line\" = '{\"do\":\"hello\"}' ] &&"
                          " echo \"{\\\"setting\\\":\\\"$PEER_TEST\\\"}\"; cat");
    expect_answer(&p, "setting", "set");
    peer_stop(&p);
}

Test(peer, an_error_is_a_sentence_and_the_worker_goes_on)
{
    Err err = {""};
    Peer p = start_script("read -r line; echo '{\"error\":\"no such model\"}';"
                          " read -r line; echo '{\"again\":\"yes\"}'; cat");
    cr_expect(ask(&p, 10, &err) == NULL);
    cr_expect(eq(str, err.msg, "fake: no such model"));
    cr_expect(peer_running(&p));
    expect_answer(&p, "again", "yes");
    peer_stop(&p);
}

Test(peer, may_end)
{
    expect_failure("exit 3", 10, "fake ended with exit code 3");
    expect_failure("read -r line; echo warming up >&2; echo out of luck >&2; exit 1", 10,
                   "fake ended with exit code 1: out of luck");
    expect_failure("read -r line; kill -SEGV $$", 10, "fake was killed by SIGSEGV");
    expect_failure("read -r line; printf '{\"ns\":'; exit 0", 10, "fake ended with exit code 0");
}

Test(peer, program_that_does_not_exist)
{
    Peer p;
    Err err = {""};
    char *argv[] = {"/no/such/program", NULL}, *settings[] = {NULL};
    cr_assert(peer_start(&p, "fake", argv, settings, &err) == 0);
    cr_expect(ask(&p, 10, &err) == NULL);
    cr_expect(eq(str, err.msg,
                 "fake ended with exit code 127: cannot execute '/no/such/program': No such file "
                 "or directory"));
}

Test(peer, may_print_rubbish)
{
    const char *shown = "fake answered with something that is no JSON object and was stopped: '%s'";
    char sentence[256];
    const char *const rubbish[][2] = {
        {"echo hello", "hello"},
        {"echo '[1, 2]'", "[1, 2]"},
        {"echo '{\"ns\":1,}'", "{\"ns\":1,}"},
        {"echo '{\"ns\":1} {\"ns\":2}'", "{\"ns\":1} {\"ns\":2}"},
        {"echo", ""},
        {"printf '{}\\n{'; sleep 60", "{}\\x0a{"},
    };
    for (size_t i = 0; i < COUNT_OF(rubbish); i++) {
        char script[256];
        snprintf(script, sizeof script, "read -r line; %s; cat", rubbish[i][0]);
        snprintf(sentence, sizeof sentence, shown, rubbish[i][1]);
        expect_failure(script, 10, sentence);
    }
}

Test(peer, may_print_without_end)
{
    Err err = {""};
    Peer p = start_script("tr '\\0' x </dev/zero");
    cr_expect(ask(&p, 60, &err) == NULL);
    cr_expect(strstr(err.msg, "no JSON object") != NULL, "%s", err.msg);
    cr_expect(not(peer_running(&p)));
}

Test(peer, may_hang)
{
    int64_t start = clock_ns();
    expect_failure("sleep 60", 0.3, "fake did not answer within 0.3 s and was stopped");
    expect_failure("read -r line; printf '{'; sleep 60", 0.3,
                   "fake did not answer within 0.3 s and was stopped");
    expect_failure("while echo noise >&2; do :; done", 0.3,
                   "fake did not answer within 0.3 s and was stopped");
    expect_failure("exec 2>&-; sleep 60", 0.3, "fake did not answer within 0.3 s and was stopped");
    cr_expect(lt(dbl, (double)(clock_ns() - start) / 1e9, 20.0));
}

/* A request longer than any pipe, to a worker that does not read. */
Test(peer, may_not_listen)
{
    Err err = {""};
    Peer p = start_script("sleep 60");
    char *text = xmalloc(1 << 22);
    memset(text, 'x', (1 << 22) - 1);
    text[(1 << 22) - 1] = '\0';
    cr_expect(peer_ask(&p, json_pack("{s:s}", "text", text), 0.3, &err) == NULL);
    cr_expect(eq(str, err.msg, "fake did not answer within 0.3 s and was stopped"));
    free(text);
}

/* What it has started goes with it: no process of its group is left. */
Test(peer, takes_its_children_along)
{
    Err err = {""};
    Peer p = start_script("sleep 61 & read -r line; echo '{}'; wait");
    json_t *reply = ask(&p, 10, &err);
    cr_assert(reply != NULL, "%s", err.msg);
    json_decref(reply);
    pid_t group = p.pid;
    peer_stop(&p);
    for (int i = 0; i < 500 && kill(-group, 0) == 0; i++)
        usleep(10000);
    cr_expect(kill(-group, 0) != 0);
}

Test(peer, interruption_ends_the_wait)
{
    Err err = {""};
    int64_t start = clock_ns();
    Peer p = start_script("sleep 60");
    interrupt_install();
    raise(SIGINT);
    cr_expect(ask(&p, 60, &err) == NULL);
    cr_expect(eq(str, err.msg, "interrupted while waiting for fake"));
    cr_expect(not(peer_running(&p)));
    cr_expect(lt(dbl, (double)(clock_ns() - start) / 1e9, 20.0));
}

Test(peer, settles_when_it_sleeps)
{
    Peer idle = start_script("read -r line"), busy = start_script("while :; do :; done");
    cr_expect(peer_settle(&idle, 10));
    cr_expect(not(peer_settle(&busy, 0.1)));
    peer_stop(&idle);
    peer_stop(&busy);
}
