/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs a provider codec's reader (and a client codec's writer behind it) on
 * the bytes of an answer: whole, cut in two at every place, and byte by byte.
 * Fails the test when events or output depend on the cuts, when events break
 * the guarantees of ir.h, or when they are not those that are wanted.
 */
#ifndef TESTS_UNIT_AGENT_CODEC_KIT_H
#define TESTS_UNIT_AGENT_CODEC_KIT_H

#include "agent/dialect/codec.h"

struct codec_kit {
	const struct codec_provider *provider;
	const struct codec_client *client; /* or NULL */
	struct answer_opts opts;	   /* of the client; stream is taken */
	size_t max_event, max_plain;	   /* 0: 1 MiB */
};

/* What a run gave. Release both buffers. */
struct codec_seen {
	struct buf events; /* a line each, see codec_kit_line() */
	struct buf out;	   /* of the client codec */
	int rc;		   /* of feed() or finish(), whichever failed */
	bool ended, error; /* END, ERROR seen */
	struct ir_usage usage;
	bool usage_known;
};
void codec_seen_release(struct codec_seen *s);

/* One event as text:
 *   start <id> <model>            block <choice>.<block> <part>[ <id>][ <name>]
 *   delta <choice>.<block> <text> sig <choice>.<block> <text>
 *   stop <choice>.<block>         logprobs <choice>.<block> <json>
 *   finish <choice> <openai word> <native>[ <text>]
 *   usage <input_total> <output_total>
 *   error <status> <native> <text>                end
 * parts: text image document audio video call result thinking redacted
 * refusal. Each line ends in LF. */
void codec_kit_line(struct buf *out, const struct ir_event *ev);

/* Feed in pieces: the first of `first` bytes, the others of `step` (0 = all
 * the rest). Checks the order of events. */
void codec_kit_run(const struct codec_kit *k, struct str body, size_t first,
    size_t step, struct codec_seen *seen);
/* All cuts give the same. The whole run's result is left in *seen when it is
 * not NULL. */
void codec_kit_cuts(
    const struct codec_kit *k, struct str body, struct codec_seen *seen);
/* codec_kit_cuts(), and the events are `want`, the end of all is rc (0 with
 * END or ERROR). */
void codec_kit_expect(
    const struct codec_kit *k, struct str body, int rc, const char *want);
/* As above, and the client gets `want_out`. */
void codec_kit_expect_out(
    const struct codec_kit *k, struct str body, const char *want_out);

/* Read a client's request; fails the test when it is refused. The arena is
 * initialised here and belongs to the caller. */
void codec_kit_read(const struct codec_client *c, struct str body,
    struct arena *a, struct ir_request *r);
/* Write a request for a provider and compare; want is JSON text. The output
 * must be valid JSON. NULL want: it is refused with e->field == field. */
void codec_kit_write(const struct codec_provider *p, const struct ir_request *r,
    const struct write_opts *o, const char *want, const char *field);

#endif
