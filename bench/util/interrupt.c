/* interrupt: see interrupt.h. */
#include "bench/util/interrupt.h"

#include <signal.h>
#include <stddef.h>

static volatile sig_atomic_t flag;

static void on_signal(int signal_number)
{
    (void)signal_number;
    flag = 1;
}

void interrupt_install(void)
{
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND};
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}

bool interrupted(void)
{
    return flag != 0;
}

void interrupt_note(void)
{
    flag = 1;
}
