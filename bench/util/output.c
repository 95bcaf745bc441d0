/* output: see output.h. */
#include "bench/util/output.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static bool reader_left;

void output_stream(void)
{
    signal(SIGPIPE, SIG_IGN);
}

int output_flush(Err *err)
{
    if (fflush(stdout) == 0 && !ferror(stdout))
        return 0;
    int code = errno;
    struct pollfd out = {.fd = STDOUT_FILENO};
    reader_left |= poll(&out, 1, 0) == 1 && out.revents & (POLLERR | POLLHUP);
    return err_set(err, "cannot write to standard output: %s", strerror(code));
}

bool output_reader_left(void)
{
    return reader_left;
}
