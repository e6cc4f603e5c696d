/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The provider codec of OpenAI chat completions and of everything that is
 * compatible with it: reading answers, plain and streamed. The outer layer is
 * here, chunks are read in openai_chat_provider_read.c.
 */
#include "agent/dialect/openai_chat_provider.h"

#include <stdlib.h>

static void
oacp_free(struct answer_reader *rd)
{
	unsigned i;

	if (rd == NULL)
		return;
	for (i = 0; i < rd->n_choices; i++)
		free(rd->choices[i].calls);
	free(rd->choices);
	answer_feed_release(&rd->feed);
	emit_release(&rd->em);
	free(rd);
}

static struct answer_reader *
oacp_begin(bool stream, size_t max_event, size_t max_plain)
{
	struct answer_reader *rd = calloc(1, sizeof(*rd));

	(void)stream; /* the answer says it itself */
	if (rd == NULL)
		return NULL;
	emit_init(&rd->em, max_event > max_plain ? max_event : max_plain);
	answer_feed_init(&rd->feed, max_event, max_plain);
	rd->max_plain = max_plain;
	return rd;
}

static int
oacp_on_event(void *ctx, const struct sse_event *ev)
{
	struct answer_reader *rd = ctx;
	struct json root;
	int rc;

	if (!ev->has_data || rd->done)
		return 0;
	if (ev->data.len == 0)
		return 0;
	if (str_starts(ev->data, STR("[DONE]"))) {
		rd->done = true;
		return 0;
	}
	rc = emit_parse(ev->data, ev->data.len, &root);
	/* A last frame that was cut off says nothing that the answer needs. */
	if (rc != 0 && rd->ending && oacp_all_finished(rd))
		return 0;
	return rc != 0 ? rc : oacp_chunk(rd, root);
}

static int
oacp_feed(struct answer_reader *rd, const char *p, size_t n, ir_event_fn *fn,
    void *ctx)
{
	rd->em.fn = fn;
	rd->em.ctx = ctx;
	if (rd->em.failed || rd->done)
		return 0;
	return emit_result(
	    answer_feed_bytes(&rd->feed, p, n, oacp_on_event, rd));
}

static int
oacp_finish(struct answer_reader *rd, ir_event_fn *fn, void *ctx)
{
	struct json root;
	int rc;

	rd->em.fn = fn;
	rd->em.ctx = ctx;
	rd->ending = true;
	if (rd->em.failed)
		return 0;
	rc = rd->done ? 0 : answer_feed_end(&rd->feed, oacp_on_event, rd);
	if (rc == 0 && rd->feed.mode == ANSWER_PLAIN) {
		rc = emit_parse(buf_str(&rd->feed.plain), rd->max_plain, &root);
		if (rc == 0)
			rc = oacp_chunk(rd, root);
	}
	if (rc != 0)
		return emit_result(rc);
	if (!rd->em.started ||
	    (!rd->done && !rd->usage_last && !oacp_all_finished(rd)))
		return ERR_INVALID;
	rc = oacp_finish_rest(rd);
	return rc != 0 ? rc : emit_end(&rd->em);
}

static const struct usage_state *
oacp_usage(const struct answer_reader *rd)
{
	return &rd->em.usage;
}

const struct codec_provider codec_openai_chat_provider = {
    .name = "openai_chat",
    .write = openai_chat_provider_write,
    .begin = oacp_begin,
    .feed = oacp_feed,
    .finish = oacp_finish,
    .usage = oacp_usage,
    .free = oacp_free,
};
