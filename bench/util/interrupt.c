/* interrupt: see interrupt.h. */
#include "bench/util/interrupt.h"

#include <signal.h>
#include <stddef.h>
#include <unistd.h>

#include "autograd/base.h"

static volatile sig_atomic_t flag, exit_code;

static void on_signal(int signal_number)
{
    (void)signal_number;
    flag = 1;
}

static void on_signal_quit(int signal_number)
{
    (void)signal_number;
    _exit(exit_code);
}

static bool is_ignored(int signal_number)
{
    struct sigaction now;
    return sigaction(signal_number, NULL, &now) == 0 && now.sa_handler == SIG_IGN;
}

static void install(void (*handler)(int))
{
    static const int signals[] = {SIGINT, SIGTERM, SIGHUP};
    struct sigaction action = {.sa_handler = handler, .sa_flags = (int)SA_RESETHAND};
    sigemptyset(&action.sa_mask);
    /* A shell without job control starts whatever runs in the background with both of these ignored
     * (POSIX, Shell Command Language, 2.11): that is no wish of its user. */
    bool background = is_ignored(SIGINT) && is_ignored(SIGQUIT);
    for (size_t i = 0; i < COUNT_OF(signals); i++)
        if (!is_ignored(signals[i]) || (signals[i] == SIGINT && background))
            sigaction(signals[i], &action, NULL);
}

void interrupt_install(void)
{
    install(on_signal);
}

void interrupt_quit(int code)
{
    exit_code = code;
    install(on_signal_quit);
}

bool interrupted(void)
{
    return flag != 0;
}

void interrupt_note(void)
{
    flag = 1;
}
