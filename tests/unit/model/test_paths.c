/* Where a path leads: links to files that are there, to files that are not, and in a circle. */
#include "model/files/paths.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "model/files/model_dir.h"
#include "model/files/safetensors.h"
#include "tests/support/temp_dir.h"

TestSuite(paths, .init = temp_dir_make, .fini = temp_dir_remove);

/* temp_dir/link -> between -> target; temp_path is made anew each time. */
static void make_links(const char *target)
{
    cr_assert_eq(symlink(target, temp_path("between")), 0);
    cr_assert_eq(symlink("between", temp_path("link")), 0);
}

Test(paths, a_dangling_link_is_its_target)
{
    make_links("target");
    char *to_make = path_to_make(temp_path("link"));
    cr_expect(eq(str, to_make, (char *)temp_path("target")));
    free(to_make);
    temp_write("target", "there");
    to_make = path_to_make(temp_path("link"));
    cr_expect(eq(str, to_make, (char *)temp_path("link")));
    free(to_make);
}

Test(paths, a_circle_is_itself)
{
    make_links("link");
    char *target = path_target(temp_path("link"));
    cr_expect(eq(str, target, (char *)temp_path("link")));
    free(target);
}

/* Pipes and deleted files have a link in /proc, which names no path. */
Test(paths, an_open_descriptor_is_itself)
{
    int ends[2];
    char path[32];
    cr_assert_eq(pipe(ends), 0);
    snprintf(path, sizeof path, "/proc/self/fd/%d", ends[1]);
    char *target = path_target(path);
    cr_expect(eq(str, target, path));
    free(target);
    close(ends[0]);
    close(ends[1]);
}

static void expect_link_to_regular(void)
{
    struct stat st;
    cr_expect(lstat(temp_path("link"), &st) == 0 && S_ISLNK(st.st_mode));
    cr_expect(lstat(temp_path("target"), &st) == 0 && S_ISREG(st.st_mode) && st.st_size > 0);
    cr_expect(eq(sz, temp_dir_count(), 3));
}

Test(paths, whatever_writes_a_file_keeps_the_link)
{
    Err err;
    float x = 1;
    STensor t = stensor_make("a", ST_F32, 0, NULL, &x);
    make_links("target");
    for (int there = 0; there < 2; there++) {
        cr_expect(eq(int, file_write(temp_path("link"), "text", 4, &err), 0), "%s", err.msg);
        expect_link_to_regular();
        if (!there)
            unlink(temp_path("target"));
        cr_expect(eq(int, safetensors_write(temp_path("link"), &t, 1, NULL, &err), 0), "%s",
                  err.msg);
        expect_link_to_regular();
    }
}

/* ---- temporary names ---- */

/* temp_dir/STEM.tmp.PIDrest; lives until the next call. */
static const char *numbered(const char *stem, long pid, const char *rest)
{
    static char name[64];
    snprintf(name, sizeof name, "%s.tmp.%ld%s", stem, pid, rest);
    return name;
}

static void expect_after_writing(const char *left)
{
    Err err;
    cr_assert(file_write(temp_path("model"), "text", 4, &err) == 0, "%s", err.msg);
    char *names = xasprintf("%s%smodel", left, *left ? " " : "");
    temp_dir_expect_only(names);
    free(names);
    unlink(temp_path("model"));
}

Test(paths, what_a_killed_process_left_is_removed)
{
    long dead = dead_process();
    temp_write(numbered("model", dead, ""), "half of it");
    temp_write(numbered("model", (long)getpid(), ""), "of a process with this number before");
    expect_after_writing("");
}

Test(paths, nothing_else_is_removed)
{
    const long dead = dead_process();
    const struct {
        const char *stem, *rest;
        long pid;
        bool locked;
    } cases[] = {
        {"model", "", (long)getppid(), false}, /* a living process */
        {"model", "", dead, true},             /* one of another container */
        {"model", "x", dead, false},           /* another name */
        {"mode", "", dead, false},
        {"model2", "", dead, false},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        const char *name = numbered(cases[i].stem, cases[i].pid, cases[i].rest);
        int fd = open(temp_write(name, "theirs"), O_RDONLY);
        cr_assert(fd >= 0);
        if (cases[i].locked)
            temporary_lock(fd);
        expect_after_writing(name);
        close(fd);
        unlink(temp_path(name));
    }
}

Test(paths, a_folder_goes_only_with_known_files)
{
    static const char *const files[] = {"a", "b", NULL};
    long dead = dead_process();
    char folder[64], inside[128];
    snprintf(folder, sizeof folder, "%s", numbered("out", dead, ""));
    for (int mine = 0; mine <= 1; mine++) {
        snprintf(inside, sizeof inside, "%s/a", folder);
        temp_write(inside, "1");
        snprintf(inside, sizeof inside, "%s/b.tmp.%ld", folder, dead);
        temp_write(inside, "2");
        snprintf(inside, sizeof inside, "%s/%s", folder, mine ? "mine" : "b");
        temp_write(inside, "3");
        free(path_temporary(temp_path("out"), files));
        temp_dir_expect_only(mine ? folder : "");
    }
    folder_remove(temp_path(folder));
}
