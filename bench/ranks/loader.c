/* loader: see loader.h. */
#include "bench/ranks/loader.h"

#include <dlfcn.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/util/process.h"

typedef struct Mpi {
    const char *name, *file, *packages;
} Mpi;

static const Mpi open_mpi = {"Open MPI", "tare_comm_openmpi.so", "openmpi-bin, libopenmpi-dev"};
static const Mpi mpich = {"MPICH", "tare_comm_mpich.so", "mpich, libmpich-dev"};

/* Slurm starts Open MPI by PMIx, MPICH by PMI-2. */
static const Mpi *mpi_of_launcher(void)
{
    if (getenv("OMPI_COMM_WORLD_SIZE") || getenv("PMIX_RANK"))
        return &open_mpi;
    return getenv("PMI_SIZE") || getenv("PMI_RANK") ? &mpich : &open_mpi;
}

/* Beside the program in a build, in ../lib/tare of an installed one. Caller frees; NULL: it is in
 * neither place. */
static char *plugin_path(const Mpi *mpi)
{
    static const char *const places[] = {"", "../lib/tare/"};
    char self[PATH_MAX] = "";
    if (readlink("/proc/self/exe", self, sizeof self - 1) < 0)
        return NULL;
    const char *folder = dirname(self);
    for (size_t i = 0; i < COUNT_OF(places); i++) {
        char *path = xasprintf("%s/%s%s", folder, places[i], mpi->file);
        if (access(path, R_OK) == 0)
            return path;
        free(path);
    }
    return NULL;
}

static int missing(const Mpi *mpi, Err *err)
{
    return err_set(err,
                   "several ranks need %s: install %s (Debian's names) and build again, which "
                   "makes %s",
                   mpi->name, mpi->packages, mpi->file);
}

int comm_plugin_load(const CommPlugin **plugin, Err *err)
{
    const Mpi *mpi = mpi_of_launcher();
    OWNED char *path = plugin_path(mpi);
    if (!path)
        return missing(mpi, err);
    /* Global: the MPI's own components look for its symbols. */
    void *library = dlopen(path, RTLD_NOW | RTLD_GLOBAL);
    if (!library)
        return err_set(err, "cannot load %s: %s", mpi->file, dlerror());
    const CommPlugin *(*get)(void) =
        (const CommPlugin *(*)(void))(uintptr_t)dlsym(library, COMM_PLUGIN_SYMBOL);
    if (!get)
        return err_set(err, "%s is no plug-in of this program", path);
    *plugin = get();
    return 0;
}

/* ---- the launcher ---- */

/* The program's path, as a shell would find it. Caller frees; NULL: there is none. */
static char *find_program(const char *name)
{
    if (strchr(name, '/'))
        return access(name, X_OK) == 0 ? xstrdup(name) : NULL;
    const char *set = getenv("PATH");
    OWNED char *path = xstrdup(set ? set : "/usr/local/bin:/usr/bin:/bin");
    char *rest = path;
    for (const char *folder; (folder = strsep(&rest, ":"));) {
        char *found = xasprintf("%s/%s", *folder ? folder : ".", name);
        if (access(found, X_OK) == 0)
            return found;
        free(found);
    }
    return NULL;
}

static char *replaced(const char *word, int64_t ranks)
{
    static const char mark[] = "{ranks}";
    const char *at = strstr(word, mark);
    return at ? xasprintf("%.*s%lld%s", (int)(at - word), word, (long long)ranks, at + strlen(mark))
              : xstrdup(word);
}

/* Binding is left to us (ranks.h); more ranks than cores are the user's wish. */
static const char *default_launcher(void)
{
    OWNED char *by_name = find_program("mpirun.openmpi");
    return by_name ? "mpirun.openmpi -n {ranks} --bind-to none --oversubscribe"
                   : "mpirun -n {ranks} --bind-to none --oversubscribe";
}

int launcher_words(const char *launcher, int64_t ranks, char ***words, Err *err)
{
    bool given = launcher && *launcher;
    OWNED char *command = xstrdup(given ? launcher : default_launcher());
    char *rest = command;
    size_t count = 0;
    *words = xcalloc(strlen(command) + 2, sizeof **words);
    for (const char *word; (word = strsep(&rest, " "));)
        if (*word)
            (*words)[count++] = replaced(word, ranks);
    char *program = count ? find_program((*words)[0]) : NULL;
    OWNED char *one = plugin_path(&open_mpi), *other = plugin_path(&mpich);
    if (program && (one || (given && other))) {
        free((*words)[0]);
        (*words)[0] = program;
        return 0;
    }
    int status = given && !program ? err_set(err, "there is no launcher '%.200s'", launcher)
                                   : missing(&open_mpi, err);
    free(program);
    argv_free(*words);
    *words = NULL;
    return status;
}

void launcher_forget_others(void)
{
    static const char *const names[] = {"OMPI_COMM_WORLD_SIZE",
                                        "OMPI_COMM_WORLD_RANK",
                                        "OMPI_COMM_WORLD_LOCAL_RANK",
                                        "OMPI_COMM_WORLD_LOCAL_SIZE",
                                        "PMIX_RANK",
                                        "PMI_SIZE",
                                        "PMI_RANK",
                                        "MPI_LOCALRANKID",
                                        "MPI_LOCALNRANKS"};
    for (size_t i = 0; i < COUNT_OF(names); i++)
        unsetenv(names[i]);
}

static int number(const char *const *names, int fallback)
{
    for (; *names; names++) {
        const char *value = getenv(*names);
        if (value && *value >= '0' && *value <= '9')
            return atoi(value);
    }
    return fallback;
}

LocalRank local_rank(void)
{
    static const char *const ranks[] = {"OMPI_COMM_WORLD_LOCAL_RANK", "MPI_LOCALRANKID",
                                        "SLURM_LOCALID", NULL};
    static const char *const sizes[] = {"OMPI_COMM_WORLD_LOCAL_SIZE", "MPI_LOCALNRANKS",
                                        "SLURM_NTASKS_PER_NODE", NULL};
    LocalRank local = {number(ranks, 0), number(sizes, 1)};
    return local.rank < local.size ? local : (LocalRank){0, 1};
}
