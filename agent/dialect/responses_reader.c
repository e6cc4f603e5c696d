/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Answers of /responses: the frames of a stream. Deltas are passed on; what
 * only the closing frames tell (some servers skip the deltas) is made up for
 * from them. Whole items and responses are read in responses_reader_items.c.
 */
#include "agent/dialect/responses_reader.h"

#include <stdlib.h>

static void
rspr_free(struct answer_reader *rd)
{
	if (rd == NULL)
		return;
	answer_feed_release(&rd->feed);
	emit_release(&rd->em);
	free(rd);
}

static struct answer_reader *
rspr_begin(bool stream, size_t max_event, size_t max_plain)
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

/* ---- frames ---- */

enum rspr_member {
	M_TYPE,
	M_OUTPUT_INDEX,
	M_CONTENT_INDEX,
	M_DELTA,
	M_TEXT,
	M_REFUSAL,
	M_ARGUMENTS,
	M_LOGPROBS,
	M_ITEM,
	M_PART,
	M_RESPONSE,
	M_CODE,
	M_MESSAGE,
	M_ERROR,
	M_COUNT
};
static const struct str rspr_members[M_COUNT] = {[M_TYPE] = {"type", 4},
    [M_OUTPUT_INDEX] = {"output_index", 12},
    [M_CONTENT_INDEX] = {"content_index", 13},
    [M_DELTA] = {"delta", 5},
    [M_TEXT] = {"text", 4},
    [M_REFUSAL] = {"refusal", 7},
    [M_ARGUMENTS] = {"arguments", 9},
    [M_LOGPROBS] = {"logprobs", 8},
    [M_ITEM] = {"item", 4},
    [M_PART] = {"part", 4},
    [M_RESPONSE] = {"response", 8},
    [M_CODE] = {"code", 4},
    [M_MESSAGE] = {"message", 7},
    [M_ERROR] = {"error", 5}};

struct rspr_frame {
	struct json v[M_COUNT];
	int64_t index, content;
};

typedef int rspr_fn(struct answer_reader *rd, const struct rspr_frame *f);

static int
rspr_on_begin(struct answer_reader *rd, const struct rspr_frame *f)
{
	static const struct str names[] = {{"id", 2}, {"model", 5}};
	struct json v[2];

	emit_pick(f->v[M_RESPONSE], names, v, 2);
	return emit_start(&rd->em, emit_text(v[0]), emit_text(v[1]));
}

static int
rspr_on_end(struct answer_reader *rd, const struct rspr_frame *f)
{
	return rspr_response(rd, f->v[M_RESPONSE]);
}

static int
rspr_on_item(struct answer_reader *rd, const struct rspr_frame *f)
{
	struct json type;

	if (json_getz(f->v[M_ITEM], "type", &type) &&
	    rspr_is(type, "function_call"))
		return rspr_call_open(rd, f->index, f->v[M_ITEM]);
	return 0;
}

static int
rspr_on_item_done(struct answer_reader *rd, const struct rspr_frame *f)
{
	return rspr_item_done(rd, f->index, f->v[M_ITEM]);
}

/* The type that a content part's block has; false: it has none of its own. */
static bool
rspr_part_type(struct json part, enum ir_part_type *ret)
{
	struct json type;

	if (!json_getz(part, "type", &type))
		return false;
	*ret = rspr_is(type, "refusal") ? IR_REFUSAL : IR_TEXT;
	return *ret == IR_REFUSAL || rspr_is(type, "output_text");
}

static void
rspr_see(struct answer_reader *rd, int64_t index)
{
	rd->seen[index / 8] |= (unsigned char)(1u << (index % 8));
}

static int
rspr_on_part(struct answer_reader *rd, const struct rspr_frame *f)
{
	enum ir_part_type part;

	if (!rspr_part_type(f->v[M_PART], &part))
		return 0;
	rspr_see(rd, f->index);
	return emit_slot_open(&rd->em, &rd->slots,
	    RSPR_KEY(f->index, f->content), part, STR_NULL, STR_NULL);
}

static int
rspr_on_part_done(struct answer_reader *rd, const struct rspr_frame *f)
{
	enum ir_part_type part;

	if (!rspr_part_type(f->v[M_PART], &part))
		return 0;
	return emit_slot_stop(
	    &rd->em, &rd->slots, RSPR_KEY(f->index, f->content));
}

static int
rspr_logprobs(struct answer_reader *rd, int64_t key, struct json list)
{
	struct ir_event ev = {.type = IR_EV_LOGPROBS, .part = IR_TEXT};
	struct emit_slot *slot = emit_slot_find(&rd->slots, key);
	struct json_iter it;
	struct json el;

	if (list.p == NULL || list.type != JSON_ARRAY || slot == NULL)
		return 0;
	it = json_iter(list);
	if (!json_next_element(&it, &el))
		return 0;
	ev.block = slot->block;
	ev.json = str_make(list.p, (size_t)(list.end - list.p));
	return rd->em.fn(rd->em.ctx, &ev);
}

static int
rspr_on_text(struct answer_reader *rd, const struct rspr_frame *f)
{
	int64_t key = RSPR_KEY(f->index, f->content);
	int rc;

	rspr_see(rd, f->index);
	rc = emit_slot_delta(
	    &rd->em, &rd->slots, key, IR_TEXT, emit_text(f->v[M_DELTA]));
	return rc != 0 ? rc : rspr_logprobs(rd, key, f->v[M_LOGPROBS]);
}

static int
rspr_on_text_done(struct answer_reader *rd, const struct rspr_frame *f)
{
	rspr_see(rd, f->index);
	return rspr_rest(rd, RSPR_KEY(f->index, f->content), IR_TEXT,
	    emit_text(f->v[M_TEXT]));
}

static int
rspr_on_refusal(struct answer_reader *rd, const struct rspr_frame *f)
{
	rspr_see(rd, f->index);
	return emit_slot_delta(&rd->em, &rd->slots,
	    RSPR_KEY(f->index, f->content), IR_REFUSAL,
	    emit_text(f->v[M_DELTA]));
}

static int
rspr_on_refusal_done(struct answer_reader *rd, const struct rspr_frame *f)
{
	rspr_see(rd, f->index);
	return rspr_rest(rd, RSPR_KEY(f->index, f->content), IR_REFUSAL,
	    emit_text(f->v[M_REFUSAL]));
}

/* Arguments of a call that was not announced: the item tells them again. */
static int
rspr_on_args(struct answer_reader *rd, const struct rspr_frame *f)
{
	int64_t key = RSPR_KEY(f->index, RSPR_CALL);

	if (emit_slot_find(&rd->slots, key) == NULL)
		return 0;
	return emit_slot_delta(
	    &rd->em, &rd->slots, key, IR_TOOL_CALL, emit_text(f->v[M_DELTA]));
}

static int
rspr_on_args_done(struct answer_reader *rd, const struct rspr_frame *f)
{
	int64_t key = RSPR_KEY(f->index, RSPR_CALL);

	if (emit_slot_find(&rd->slots, key) == NULL)
		return 0;
	return rspr_rest(rd, key, IR_TOOL_CALL, emit_text(f->v[M_ARGUMENTS]));
}

/* Parts of a summary are paragraphs. */
static int
rspr_on_summary(struct answer_reader *rd, const struct rspr_frame *f)
{
	int64_t key = RSPR_KEY(f->index, RSPR_THINKING);
	struct emit_slot *slot = emit_slot_find(&rd->slots, key);

	if (slot == NULL || slot->empty)
		return 0;
	return emit_slot_delta(
	    &rd->em, &rd->slots, key, IR_THINKING, STR("\\n\\n"));
}

static int
rspr_on_thinking(struct answer_reader *rd, const struct rspr_frame *f)
{
	rspr_see(rd, f->index);
	return emit_slot_delta(&rd->em, &rd->slots,
	    RSPR_KEY(f->index, RSPR_THINKING), IR_THINKING,
	    emit_text(f->v[M_DELTA]));
}

static int
rspr_on_error(struct answer_reader *rd, const struct rspr_frame *f)
{
	struct json code = f->v[M_CODE], message = f->v[M_MESSAGE];
	static const struct str names[] = {
	    {"code", 4}, {"message", 7}, {"type", 4}};
	struct json v[3];

	if (f->v[M_ERROR].p != NULL && f->v[M_ERROR].type == JSON_OBJECT) {
		emit_pick(f->v[M_ERROR], names, v, 3);
		code = v[0].p != NULL ? v[0] : v[2];
		message = v[1];
	}
	return rspr_error(rd, code, message);
}

/* Sorted by how often they come. Others tell nothing that is carried. */
static const struct {
	struct str type;
	rspr_fn *fn;
} rspr_types[] = {
#define T(name, fn)                                                  \
	{                                                            \
		{"response." name, sizeof("response." name) - 1}, fn \
	}
    T("output_text.delta", rspr_on_text),
    T("function_call_arguments.delta", rspr_on_args),
    T("reasoning_summary_text.delta", rspr_on_thinking),
    T("reasoning_text.delta", rspr_on_thinking),
    T("refusal.delta", rspr_on_refusal), T("created", rspr_on_begin),
    T("queued", rspr_on_begin), T("in_progress", rspr_on_begin),
    T("output_item.added", rspr_on_item), T("content_part.added", rspr_on_part),
    T("output_text.done", rspr_on_text_done),
    T("content_part.done", rspr_on_part_done),
    T("refusal.done", rspr_on_refusal_done),
    T("function_call_arguments.done", rspr_on_args_done),
    T("reasoning_summary_part.added", rspr_on_summary),
    T("output_item.done", rspr_on_item_done), T("completed", rspr_on_end),
    T("incomplete", rspr_on_end), T("failed", rspr_on_end),
    T("cancelled", rspr_on_end),
#undef T
    {{"error", 5}, rspr_on_error}};

static int
rspr_index(struct json v, int64_t max, int64_t *ret)
{
	*ret = 0;
	if (v.p == NULL)
		return 0;
	if (json_to_i64(v, ret) != 0 || *ret < 0 || *ret >= max)
		return ERR_INVALID;
	return 0;
}

static int
rspr_frame(struct answer_reader *rd, struct json root)
{
	struct rspr_frame f;
	struct str type;
	unsigned i;
	int rc;

	emit_pick(root, rspr_members, f.v, M_COUNT);
	type = emit_text(f.v[M_TYPE]);
	if (type.len == 0)
		return f.v[M_ERROR].p != NULL ? rspr_on_error(rd, &f) : 0;
	rc = rspr_index(f.v[M_OUTPUT_INDEX], RSPR_MAX_ITEMS, &f.index);
	if (rc == 0)
		rc = rspr_index(f.v[M_CONTENT_INDEX], RSPR_CALL, &f.content);
	for (i = 0; i < sizeof(rspr_types) / sizeof(rspr_types[0]); i++) {
		if (!json_key_eq(type, rspr_types[i].type))
			continue;
		/* A stream that leaves out its first frame. */
		if (rc == 0 && rspr_types[i].fn != rspr_on_begin &&
		    rspr_types[i].fn != rspr_on_end &&
		    rspr_types[i].fn != rspr_on_error)
			rc = emit_start(&rd->em, STR_NULL, STR_NULL);
		return rc != 0 ? rc : rspr_types[i].fn(rd, &f);
	}
	return 0;
}

/* Frames repeat tools with their schemas: as deep as requests may be, and
 * some. */
static int
rspr_parse(struct str text, struct json *root)
{
	struct json_limits lim = json_default_limits;
	int rc;

	lim.max_bytes = text.len;
	lim.max_depth += 8;
	rc = json_validate(text, &lim, NULL);
	if (rc != 0)
		return rc;
	*root = json_root(text);
	return root->type == JSON_OBJECT ? 0 : ERR_INVALID;
}

static int
rspr_on_event(void *ctx, const struct sse_event *ev)
{
	struct answer_reader *rd = ctx;
	struct json root;
	int rc;

	if (!ev->has_data || ev->data.len == 0 || rd->terminal ||
	    rd->em.failed || str_starts(ev->data, STR("[DONE]")))
		return 0;
	/* An event that came in one piece was not measured. */
	if (ev->raw.len > rd->feed.sse.max_event + 1)
		return ERR_TOO_LARGE;
	rc = rspr_parse(ev->data, &root);
	return emit_result(rc != 0 ? rc : rspr_frame(rd, root));
}

static int
rspr_feed(struct answer_reader *rd, const char *p, size_t n, ir_event_fn *fn,
    void *ctx)
{
	rd->em.fn = fn;
	rd->em.ctx = ctx;
	return answer_feed_bytes(&rd->feed, p, n, rspr_on_event, rd);
}

static int
rspr_plain(struct answer_reader *rd)
{
	struct json root, err;
	int rc = rspr_parse(buf_str(&rd->feed.plain), &root);

	if (rc != 0)
		return rc;
	if (json_getz(root, "error", &err) && err.type == JSON_OBJECT &&
	    !json_getz(root, "output", &err))
		return emit_result(rspr_frame(rd, root));
	return emit_result(rspr_response(rd, root));
}

static int
rspr_finish(struct answer_reader *rd, ir_event_fn *fn, void *ctx)
{
	int rc;

	rd->em.fn = fn;
	rd->em.ctx = ctx;
	rc = answer_feed_end(&rd->feed, rspr_on_event, rd);
	if (rc == 0 && rd->feed.mode == ANSWER_PLAIN)
		rc = rspr_plain(rd);
	if (rc != 0 || rd->em.failed)
		return rc;
	return rd->terminal ? emit_end(&rd->em) : ERR_INVALID;
}

static const struct usage_state *
rspr_usage(const struct answer_reader *rd)
{
	return &rd->em.usage;
}

const struct codec_provider codec_responses_provider = {
    .name = "responses",
    .write = NULL, /* requests of this dialect only pass through */
    .begin = rspr_begin,
    .feed = rspr_feed,
    .finish = rspr_finish,
    .usage = rspr_usage,
    .free = rspr_free,
};
