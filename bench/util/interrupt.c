/* interrupt: see interrupt.h. */
#include "bench/util/interrupt.h"

#include <signal.h>
#include <stddef.h>

#include "autograd/base.h"

static volatile sig_atomic_t flag;

static void on_signal(int signal_number)
{
    (void)signal_number;
    flag = 1;
}

static bool is_ignored(int signal_number)
{
    struct sigaction now;
    return sigaction(signal_number, NULL, &now) == 0 && now.sa_handler == SIG_IGN;
}

void interrupt_install(void)
{
    static const int signals[] = {SIGINT, SIGTERM, SIGHUP};
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND};
    sigemptyset(&action.sa_mask);
    /* A shell without job control starts whatever runs in the background with both of these ignored
     * (POSIX, Shell Command Language, 2.11): that is no wish of its user. */
    bool background = is_ignored(SIGINT) && is_ignored(SIGQUIT);
    for (size_t i = 0; i < COUNT_OF(signals); i++)
        if (!is_ignored(signals[i]) || (signals[i] == SIGINT && background))
            sigaction(signals[i], &action, NULL);
}

bool interrupted(void)
{
    return flag != 0;
}

void interrupt_note(void)
{
    flag = 1;
}
