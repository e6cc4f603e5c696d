/* SPDX-License-Identifier: Apache-2.0 */
/*
 * File calls that fail: every n-th one in every way, once and for good, then
 * the process is killed (or the power goes) and a healthy boot has to keep
 * every promise.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/reliability/torture.h"

static const struct {
	const char *name;
	int errnum;
	bool sticky;
} kinds[] = {{"EIO", EIO, false}, {"ENOSPC", ENOSPC, false},
    {"EDQUOT", EDQUOT, false}, {"EINTR", EINTR, false},
    {"EAGAIN", EAGAIN, false}, {"EMFILE", EMFILE, false},
    {"EACCES", EACCES, false}, {"short", 0, false}, {"EIO for good", EIO, true},
    {"ENOSPC for good", ENOSPC, true}};
#define N_KINDS (sizeof(kinds) / sizeof(kinds[0]))

void
torture_report(struct figures *f, const char *what, const char *bug)
{
	if (f->failures++ < 20)
		printf("not ok %s: %s\n", what, bug);
}

/* Recover and check a copy of the facts on the disk; it is used up. */
static const char *
after(struct disk *d, const struct work_facts *facts, bool power, char *text)
{
	struct work_facts *copy = malloc(sizeof(*copy));
	struct work w;
	const char *bug;

	MUST(copy != NULL);
	*copy = *facts;
	work_init(&w, disk_io(d), "/mem", copy, 99);
	if (power)
		(void)snprintf(w.boot_id, sizeof(w.boot_id), "machine-2");
	bug = work_recover(&w);
	if (bug == NULL)
		bug = work_check(&w, power);
	if (bug != NULL)
		(void)snprintf(text, 256, "%s", bug);
	free(copy);
	return bug == NULL ? NULL : text;
}

/* One run with the at-th call failing; false: there was no such call. */
static bool
fault_run(uint64_t seed, long at, size_t kind, struct figures *f)
{
	struct disk_fault fault = {.at = at,
	    .errnum = kinds[kind].errnum,
	    .sticky = kinds[kind].sticky};
	struct work_facts *facts = calloc(1, sizeof(*facts));
	struct disk *d = disk_new(), *image;
	struct rng_seeded rng;
	char what[128], text[256];
	const char *bug;
	struct work w;
	bool hit;

	MUST(facts != NULL);
	work_init(&w, disk_io(d), "/mem", facts, seed);
	w.faulty = true;
	disk_arm(d, &fault);
	work_run(&w);
	hit = disk_hit(d);
	bug = w.bug;
	if (bug == NULL)
		bug = disk_misuse(d);
	(void)snprintf(what, sizeof(what), "call %ld %s seed %" PRIu64, at,
	    kinds[kind].name, seed);
	if (bug != NULL)
		torture_report(f, what, bug);
	rng_seeded_init(&rng, seed + (uint64_t)at);
	image = disk_image(d, &rng.rng);
	disk_reopen(d);
	bug = after(d, facts, false, text);
	if (bug != NULL)
		torture_report(f, what, bug);
	bug = after(image, facts, true, text);
	(void)snprintf(what, sizeof(what),
	    "call %ld %s seed %" PRIu64 ", then a power cut", at,
	    kinds[kind].name, seed);
	if (bug != NULL)
		torture_report(f, what, bug);
	f->io_faults += hit;
	disk_free(image);
	disk_free(d);
	free(facts);
	return hit;
}

int
torture_faults(uint64_t seed, long call, long kind, struct figures *f)
{
	if (call > 0) {
		(void)fault_run(seed, call, (size_t)kind % N_KINDS, f);
		return f->failures > 0;
	}
	for (size_t k = 0; k < N_KINDS; k++)
		for (long at = 1; fault_run(seed, at, k, f); at++)
			;
	return f->failures > 0;
}

/* ---- power cuts ------------------------------------------------------------
 */

static bool
is_dead(void *ctx)
{
	return disk_dead(ctx);
}

/* Recover from one image; every second time the power goes again on the way. */
static void
power_image(struct disk *d, const struct work_facts *facts, struct rng *rng,
    const char *what, struct figures *f)
{
	struct disk *image = disk_image(d, rng), *second;
	char text[256];
	const char *bug;

	f->power_loss_images++;
	if (rng_below(rng, 2) == 0) {
		struct work_facts *copy = malloc(sizeof(*copy));
		struct work w;

		MUST(copy != NULL);
		*copy = *facts;
		work_init(&w, disk_io(image), "/mem", copy, 77);
		(void)snprintf(w.boot_id, sizeof(w.boot_id), "machine-1b");
		w.dead = is_dead;
		w.dead_ctx = image;
		disk_die_at(image, 1 + (long)rng_below(rng, 200));
		(void)work_recover(&w);
		second = disk_image(image, rng);
		f->power_loss_images++;
		bug = after(second, copy, true, text);
		disk_free(second);
		free(copy);
	} else {
		bug = after(image, facts, true, text);
	}
	disk_free(image);
	if (bug != NULL)
		torture_report(f, what, bug);
}

/* Die at the at-th call; false: there was no such call. */
static bool
power_point(uint64_t seed, long at, unsigned images, struct figures *f)
{
	struct work_facts *facts = calloc(1, sizeof(*facts));
	struct disk *d = disk_new();
	struct rng_seeded rng;
	char what[128];
	struct work w;
	bool dead;

	MUST(facts != NULL);
	work_init(&w, disk_io(d), "/mem", facts, seed);
	w.dead = is_dead;
	w.dead_ctx = d;
	disk_die_at(d, at);
	work_run(&w);
	dead = disk_dead(d);
	(void)snprintf(what, sizeof(what),
	    "power cut at call %ld seed %" PRIu64, at, seed);
	if (w.bug != NULL)
		torture_report(f, what, w.bug);
	rng_seeded_init(&rng, seed * 1000003 + (uint64_t)at);
	for (unsigned i = 0; i < images; i++)
		power_image(d, facts, &rng.rng, what, f);
	f->crash_points++;
	disk_free(d);
	free(facts);
	return dead;
}

int
torture_power(
    uint64_t seed, unsigned images, unsigned stride, struct figures *f)
{
	for (long at = 1; power_point(seed, at, images, f); at += stride)
		;
	return f->failures > 0;
}
