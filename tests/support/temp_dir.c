/* temp_dir: see temp_dir.h. */
#include "tests/support/temp_dir.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "autograd/base.h"

#define TEMPLATE "/tmp/tare-test-XXXXXX"

char temp_dir[] = TEMPLATE;

static char **paths; /* what temp_path returned */
static size_t num_paths;

void temp_dir_make(void)
{
    strcpy(temp_dir, TEMPLATE);
    cr_assert(mkdtemp(temp_dir), "no folder %s", temp_dir);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st, (void)type, (void)ftw;
    return remove(path);
}

void temp_dir_remove(void)
{
    nftw(temp_dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    while (num_paths > 0)
        free(paths[--num_paths]);
    free(paths);
    paths = NULL;
}

const char *temp_path(const char *name)
{
    paths = xrealloc(paths, (num_paths + 1) * sizeof *paths);
    return paths[num_paths++] = xasprintf("%s/%s", temp_dir, name);
}

const char *temp_write_bytes(const char *name, const void *bytes, size_t len)
{
    const char *path = temp_path(name);
    char *above = xstrdup(path);
    for (char *slash = strchr(above + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        mkdir(above, 0777);
        *slash = '/';
    }
    free(above);
    FILE *f = fopen(path, "wb");
    cr_assert(f && fwrite(bytes, 1, len, f) == len && fclose(f) == 0, "cannot write %s", path);
    return path;
}

const char *temp_write(const char *name, const char *text)
{
    return temp_write_bytes(name, text, strlen(text));
}

/* Calls `see` for every entry and returns how many there are. */
static size_t each_entry(void (*see)(const char *name, const char *names), const char *names)
{
    size_t count = 0;
    DIR *d = opendir(temp_dir);
    cr_assert(d, "no folder %s", temp_dir);
    for (struct dirent *e = readdir(d); e; e = readdir(d)) {
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
            continue;
        if (see)
            see(e->d_name, names);
        count++;
    }
    closedir(d);
    return count;
}

size_t temp_dir_count(void)
{
    return each_entry(NULL, NULL);
}

static void expect_known(const char *name, const char *names)
{
    char *wanted = xasprintf(" %s ", name), *all = xasprintf(" %s ", names);
    cr_expect(strstr(all, wanted), "a test left %s behind", name);
    free(wanted);
    free(all);
}

void temp_dir_expect_only(const char *names)
{
    each_entry(expect_known, names);
}

long dead_process(void)
{
    pid_t child = fork();
    if (child == 0)
        _exit(0);
    cr_assert(waitpid(child, NULL, 0) == child);
    return (long)child;
}
