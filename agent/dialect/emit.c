/* SPDX-License-Identifier: Apache-2.0 */
/* See emit.h. */
#include "agent/dialect/emit.h"

#include <string.h>

void
emit_init(struct emit *em, size_t max_event)
{
	memset(em, 0, sizeof(*em));
	/* Escaping makes text at most six times as long. */
	buf_init(&em->scratch, max_event * 6 + 64);
	arena_init(&em->arena, 256, (size_t)64 << 10);
	em->max_event = max_event;
}

void
emit_release(struct emit *em)
{
	buf_release(&em->scratch);
	arena_release(&em->arena);
}

int
emit_parse(struct str frame, size_t max_bytes, struct json *root)
{
	struct json_limits lim = json_default_limits;
	int rc;

	lim.max_bytes = max_bytes;
	rc = json_validate(frame, &lim, NULL);
	if (rc != 0)
		return rc;
	*root = json_root(frame);
	return root->type == JSON_OBJECT ? 0 : ERR_INVALID;
}

void
emit_pick(
    struct json obj, const struct str *names, struct json *vals, unsigned n)
{
	struct json_iter it;
	struct json v;
	struct str key;
	unsigned i;

	memset(vals, 0, n * sizeof(*vals));
	if (obj.p == NULL || obj.type != JSON_OBJECT)
		return;
	it = json_iter(obj);
	while (json_next_member(&it, &key, &v)) {
		if (v.type == JSON_NULL)
			continue;
		for (i = 0; i < n; i++)
			if (key.len == names[i].len && key.len > 0 &&
			    key.p[0] == names[i].p[0] &&
			    memcmp(key.p, names[i].p, key.len) == 0)
				break;
		if (i == n && str_find(key, '\\') >= 0)
			for (i = 0; i < n; i++)
				if (json_key_eq(key, names[i]))
					break;
		if (i < n)
			vals[i] = v;
	}
}

struct str
emit_text(struct json v)
{
	if (v.p == NULL || v.type != JSON_STRING)
		return STR("");
	return json_raw_string(v);
}

struct str
emit_call_id(
    struct emit *em, struct str salt, unsigned position, struct str name)
{
	uint32_t h = 2166136261u; /* FNV-1a */
	size_t i;

	for (i = 0; i < salt.len; i++)
		h = (h ^ (unsigned char)salt.p[i]) * 16777619u;
	arena_clear(&em->arena);
	return ir_make_call_id(&em->arena, "call_", h + position, name);
}

static int
emit_send(struct emit *em, const struct ir_event *ev)
{
	return em->fn(em->ctx, ev);
}

int
emit_start(struct emit *em, struct str id, struct str model)
{
	struct ir_event ev = {.type = IR_EV_START, .id = id, .model = model};

	if (em->started)
		return 0;
	em->started = true;
	return emit_send(em, &ev);
}

int
emit_finish(struct emit *em, unsigned choice, enum ir_finish f,
    struct str native, struct str stop)
{
	struct ir_event ev = {.type = IR_EV_FINISH,
	    .choice = choice,
	    .finish = f,
	    .native = native,
	    .text = stop};

	return emit_send(em, &ev);
}

int
emit_usage(struct emit *em)
{
	struct ir_event ev = {.type = IR_EV_USAGE, .usage = &em->usage.usage};

	return em->usage.known ? emit_send(em, &ev) : 0;
}

int
emit_error(struct emit *em, struct str native, int status, struct str text)
{
	struct ir_event ev = {.type = IR_EV_ERROR,
	    .native = native,
	    .status = status,
	    .text = text};
	int rc;

	if (text.len == 0) /* Cohere's words for it are "ERROR", "TIMEOUT" */
		ev.text = status == 504 ? STR("The provider took too long")
					: STR("The provider failed");
	em->failed = true;
	rc = emit_send(em, &ev);
	return rc != 0 ? rc : EMIT_STOP;
}

int
emit_end(struct emit *em)
{
	struct ir_event ev = {.type = IR_EV_END};

	return emit_send(em, &ev);
}

/* ---- blocks ---- */

static int
emit_block_start(struct emit *em, unsigned choice, unsigned block,
    enum ir_part_type part, struct str id, struct str name)
{
	struct ir_event ev = {.type = IR_EV_BLOCK_START,
	    .choice = choice,
	    .block = block,
	    .part = part,
	    .id = id,
	    .name = name};

	return emit_send(em, &ev);
}

/* A DELTA or SIGNATURE. */
static int
emit_block_text(struct emit *em, enum ir_event_type type, unsigned choice,
    unsigned block, enum ir_part_type part, struct str text)
{
	struct ir_event ev = {.type = type,
	    .choice = choice,
	    .block = block,
	    .part = part,
	    .text = text};

	return emit_send(em, &ev);
}

/* A call without arguments has an empty object of them. */
static int
emit_block_stop(struct emit *em, unsigned choice, unsigned block,
    enum ir_part_type part, bool empty)
{
	struct ir_event ev = {.type = IR_EV_BLOCK_STOP,
	    .choice = choice,
	    .block = block,
	    .part = part};
	int rc = 0;

	if (part == IR_TOOL_CALL && empty)
		rc = emit_block_text(
		    em, IR_EV_DELTA, choice, block, part, STR("{}"));
	return rc != 0 ? rc : emit_send(em, &ev);
}

/* ---- lanes ---- */

int
emit_lane_open(struct emit *em, struct emit_lane *l, enum ir_part_type part,
    struct str id, struct str name)
{
	int rc = emit_lane_stop(em, l);

	if (rc != 0)
		return rc;
	l->open = l->empty = true;
	l->part = part;
	return emit_block_start(em, l->choice, l->next, part, id, name);
}

int
emit_lane_delta(struct emit *em, struct emit_lane *l, enum ir_part_type part,
    struct str text)
{
	int rc;

	if (text.len == 0)
		return 0;
	if (!l->open || l->part != part) {
		rc = emit_lane_open(em, l, part, STR(""), STR(""));
		if (rc != 0)
			return rc;
	}
	l->empty = false;
	return emit_block_text(em, IR_EV_DELTA, l->choice, l->next, part, text);
}

int
emit_lane_signature(struct emit *em, struct emit_lane *l, struct str text)
{
	if (text.len == 0 || !l->open)
		return 0;
	return emit_block_text(
	    em, IR_EV_SIGNATURE, l->choice, l->next, l->part, text);
}

int
emit_lane_stop(struct emit *em, struct emit_lane *l)
{
	if (!l->open)
		return 0;
	l->open = false;
	return emit_block_stop(em, l->choice, l->next++, l->part, l->empty);
}

int
emit_lane_call(struct emit *em, struct emit_lane *l, struct str id,
    struct str name, struct str signature, struct json args)
{
	int rc;

	rc = emit_lane_open(em, l, IR_TOOL_CALL, id, name);
	if (rc == 0)
		rc = emit_lane_signature(em, l, signature);
	if (rc == 0 && args.p != NULL && args.type == JSON_OBJECT) {
		buf_clear(&em->scratch);
		rc = buf_add_escaped(&em->scratch,
		    str_make(args.p, (size_t)(args.end - args.p)));
		if (rc == 0)
			rc = emit_lane_delta(
			    em, l, IR_TOOL_CALL, buf_str(&em->scratch));
	}
	return rc != 0 ? rc : emit_lane_stop(em, l);
}

/* ---- slots ---- */

struct emit_slot *
emit_slot_find(struct emit_slots *s, int64_t key)
{
	unsigned i;

	for (i = 0; i < s->n; i++)
		if (s->at[i].open && s->at[i].key == key)
			return &s->at[i];
	return NULL;
}

int
emit_slot_open(struct emit *em, struct emit_slots *s, int64_t key,
    enum ir_part_type part, struct str id, struct str name)
{
	struct emit_slot *slot;
	unsigned i;
	int rc = emit_slot_stop(em, s, key);

	if (rc != 0)
		return rc;
	for (i = 0; i < s->n && s->at[i].open; i++)
		;
	if (i == EMIT_MAX_OPEN)
		return ERR_INVALID;
	if (i == s->n)
		s->n++;
	slot = &s->at[i];
	slot->key = key;
	slot->block = s->next++;
	slot->part = part;
	slot->open = slot->empty = true;
	return emit_block_start(em, 0, slot->block, part, id, name);
}

/* A DELTA or SIGNATURE of a block that is opened when it is not there. */
static int
emit_slot_text(struct emit *em, struct emit_slots *s, int64_t key,
    enum ir_event_type type, enum ir_part_type part, struct str text)
{
	struct emit_slot *slot;
	int rc;

	if (text.len == 0)
		return 0;
	slot = emit_slot_find(s, key);
	if (slot == NULL || slot->part != part) {
		rc = emit_slot_open(em, s, key, part, STR(""), STR(""));
		if (rc != 0)
			return rc;
		slot = emit_slot_find(s, key);
		MUST(slot != NULL);
	}
	if (type == IR_EV_DELTA)
		slot->empty = false;
	return emit_block_text(em, type, 0, slot->block, part, text);
}

int
emit_slot_delta(struct emit *em, struct emit_slots *s, int64_t key,
    enum ir_part_type part, struct str text)
{
	return emit_slot_text(em, s, key, IR_EV_DELTA, part, text);
}

int
emit_slot_signature(struct emit *em, struct emit_slots *s, int64_t key,
    enum ir_part_type part, struct str text)
{
	return emit_slot_text(em, s, key, IR_EV_SIGNATURE, part, text);
}

static int
emit_slot_close(struct emit *em, struct emit_slots *s, struct emit_slot *slot)
{
	slot->open = false;
	while (s->n > 0 && !s->at[s->n - 1].open)
		s->n--;
	return emit_block_stop(em, 0, slot->block, slot->part, slot->empty);
}

int
emit_slot_stop(struct emit *em, struct emit_slots *s, int64_t key)
{
	struct emit_slot *slot = emit_slot_find(s, key);

	return slot != NULL ? emit_slot_close(em, s, slot) : 0;
}

/* In the order of their numbers: slots are used again, so look for them. */
int
emit_slot_stop_all(struct emit *em, struct emit_slots *s)
{
	struct emit_slot *first;
	unsigned i;
	int rc;

	for (;;) {
		first = NULL;
		for (i = 0; i < s->n; i++)
			if (s->at[i].open &&
			    (first == NULL || s->at[i].block < first->block))
				first = &s->at[i];
		if (first == NULL)
			return 0;
		rc = emit_slot_close(em, s, first);
		if (rc != 0)
			return rc;
	}
}
