/* project: where the Python side of the project lies, and the model directories.
 *
 * The root is the first folder that holds bench/peers/worker.py. Candidates are "." and the folders
 * above the program, each followed by its share/tare, where `cmake --install` puts the Python side.
 * Python is $TARE_PYTHON, else .venv/bin/python. Models that a config asks to make are made once by
 * bench/peers/make_models.py and kept in .cache/models. Of a checkout, .venv and .cache lie in the
 * root; an installed root stays as it is, so they lie in the current folder. */
#pragma once

#include "model/files/checkpoint.h"
#include "bench/compare/config.h"

typedef struct Project {
    char *program; /* this one */
    char *root;    /* NULL: not found */
    char *local;   /* where .venv and .cache lie; never NULL */
    char *python;  /* NULL: there is none */
    char *install; /* the shell command that installs the peers, for messages */
} Project;

/* Says on stderr where $TARE_PYTHON is no program. */
void project_find(Project *p);
void project_release(Project *p);

/* Where the sentence says that Python lacks a module, adds the command that installs it. */
void say_how_to_install(const char *install, Err *err);

/* A model that lies ready. */
typedef struct ModelFiles {
    char *dir;          /* NULL: one attention layer */
    ModelConfig config; /* of a layer: its widths */
    /* Of model.safetensors, or of its shards one after the other in the order of their names, by
     * coreutils; "" where there are none. */
    char sha256[65];
} ModelFiles;

/* Makes the model if it is asked for and not there yet, saying so on stderr; reads its config.
 * -1: exit 2. Release also after -1. */
int model_files_find(ModelFiles *f, const CompareModel *m, const Project *p, Err *err);

/* Opens its weights, unread: settles the head, checks that they are of that model, and names on
 * stderr those that are not used. Release ck unless it fails. */
int model_files_open(ModelFiles *f, Checkpoint *ck, Err *err);
void model_files_release(ModelFiles *f);

/* Whether this model can do what the cell asks. */
int model_files_check(const ModelFiles *f, const CompareCell *cell, Err *err);
