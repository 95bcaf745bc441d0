/* stamp: see stamp.h. */
#include "bench/row/stamp.h"

#include <time.h>

#include "bench/machine/machine.h"
#include "commit.h"

void row_stamp(RowResult *r)
{
    time_t now = time(NULL);
    struct tm utc;
    Machine c;
    machine_read(&c, "");
    gmtime_r(&now, &utc);
    strftime(r->timestamp_utc, sizeof r->timestamp_utc, "%Y-%m-%dT%H:%M:%SZ", &utc);
    text_set(r->cpu_model, c.cpu_model);
    text_set(r->cpus_allowed, c.cpu_list);
    text_set(r->governor, c.governor);
    r->cpu_quota = c.cpu_quota;
    text_set(r->build, TARE_BUILD);
    text_set(r->git_commit, TARE_GIT_COMMIT);
    r->schema = ROW_SCHEMA;
}
