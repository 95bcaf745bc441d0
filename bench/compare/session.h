/* session: what every comparison of implementations has: their processes, the peaks of their
 * threads, and the files by which their outputs are compared.
 *
 * The one idea of a failure: a worker that ends or answers wrongly fails its entry, which takes no
 * more turns (rounds.h); implementation_wake starts and greets it again before the next load. An
 * interruption is no failure of anybody. Progress is one line on stderr an entry or cell, printed
 * by who measures it. What is measured is decided by cell.h and serving. */
#pragma once

#include "bench/compare/implementation.h"
#include "bench/compare/rounds.h"

typedef struct Session {
    Project project;
    int64_t threads;
    Implementation implementations[NUM_IMPLEMENTATIONS];
    Guard guard;
    double other_cpus; /* kept busy by others before anything was started */
    char folder[96];   /* temporary, for inputs and outputs of workers; "" = none */
    int lock;          /* the folder, open and locked as long as we live; -1 = none */
    bool misbehaved;   /* an implementation was left out by a fault of its own */
} Session;

void session_init(Session *s);
void session_release(Session *s);

/* Makes the folder, removes those that killed runs of this user left, and starts the
 * implementations (implementations_start). */
int session_start(Session *s, const ImplementationOptions *o, Err *err);

/* The peaks of its threads; NULL = not known. */
const Peaks *session_peaks(const Session *s);
/* Measures them, or again; on failure they stay as they are, with a line on stderr. */
void session_measure_peaks(Session *s);
/* Sets the entry's claim. Measures peaks again, where they are known, while it is above them
 * (guard_doubt): at once, while the machine is as it was. */
void session_claim(Session *s, Entry *e, Claim claim);
EntryState session_state(const Session *s, const Entry *e); /* entry_state at those peaks */

/* The path of FOLDER/NAME.safetensors; the caller frees. */
char *session_file(const Session *s, const char *name);
void session_remove_file(const Session *s, const char *name);

/* One untimed call of a loaded worker, its outputs in the file of this name. */
int session_write_outputs(const Session *s, Implementation *a, const char *name, Err *err);
/* Compares the outputs of e with ours, unless one of them failed: its parity, or its failure. */
void session_prove(const Session *s, const Entry *ours, Entry *e, double tolerance);

/* Likewise against this file of session_file's, which is nobody's output; ours too. */
void session_prove_by(const Session *s, const char *name, Entry *e, double tolerance);
