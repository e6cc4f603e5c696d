/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Allocation torture: each scenario does something real again and again, the
 * n-th allocation failing in round n, until a round without a failure. The
 * result must be the one of a healthy run or ERR_NOMEM, nothing may leak
 * (oom.h aborts then), and what was promised before holds.
 */
#ifndef TESTS_RELIABILITY_ALLOC_ALLOC_H
#define TESTS_RELIABILITY_ALLOC_ALLOC_H

#include "common/str.h"
#include "tests/unit/support/oom.h"

struct alloc {
	const char *scenario, *input; /* where we are */
	const char *corpus;	      /* folder of tests/fuzz/corpus */
	unsigned long failures;	      /* injected */
	unsigned problems;
};

/* Of this program, up to one without a name. */
struct alloc_scenario {
	const char *name;
	void (*run)(struct alloc *a);
};
extern const struct alloc_scenario alloc_scenarios[];

void alloc_bad(struct alloc *a, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
/* Call fn with each file of corpus/<name>; whole: with its first byte. */
void alloc_corpus(struct alloc *a, const char *name, bool whole,
    void (*fn)(struct alloc *a, struct str bytes));

/* codecs.c */
void alloc_client_read(struct alloc *a);
void alloc_provider_write(struct alloc *a);
void alloc_provider_read(struct alloc *a);
void alloc_errors(struct alloc *a);
/* wire.c */
void alloc_messages(struct alloc *a);
void alloc_sealed(struct alloc *a);
void alloc_join(struct alloc *a);
void alloc_config_file(struct alloc *a);
/* state.c */
void alloc_items(struct alloc *a);
void alloc_compile(struct alloc *a);
void alloc_cache(struct alloc *a);
void alloc_journal(struct alloc *a);
/* serve.c */
void alloc_serve_plain(struct alloc *a);
void alloc_serve_stream(struct alloc *a);
void alloc_serve_translated(struct alloc *a);

#endif
