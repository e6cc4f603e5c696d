/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Making and searching the neutral form of a request (ir.h), and the words
 * that dialects use for efforts and finish reasons.
 *
 * Lists are appended to in constant time and calls are found by their id
 * through a table, so that a request of many thousand parts costs no more
 * than its size.
 */
#include "agent/dialect/ir.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "common/json.h"

/* Tool calls by id: open addressing, filled as far as somebody looked. */
struct ir_calls {
	const struct ir_part **slots;
	unsigned n_slots, n_used; /* n_slots: a power of two, or 0 */
	const struct ir_message *message;
	const struct ir_part *part; /* the last one that was looked at */
	bool broken;		    /* no memory: search the lists */
};

void
ir_request_init(struct ir_request *r, struct arena *a)
{
	memset(r, 0, sizeof(*r));
	r->arena = a;
	r->n = 1;
	r->parallel = -1;
	r->max_output = -1;
	r->format_strict = -1;
	r->thinking_budget = -1;
	r->top_logprobs = -1;
	r->calls = arena_zalloc(a, sizeof(*r->calls));
}

struct ir_message *
ir_add_message(struct ir_request *r, enum ir_role role)
{
	struct ir_message *m;

	if (r->n_messages >= IR_MAX_MESSAGES)
		return NULL;
	m = arena_zalloc(r->arena, sizeof(*m));
	if (m == NULL)
		return NULL;
	m->role = role;
	if (r->last_message != NULL)
		r->last_message->next = m;
	else
		r->messages = m;
	r->last_message = m;
	r->n_messages++;
	return m;
}

static struct ir_part *
ir_append_part(struct ir_request *r, struct ir_part **head,
    struct ir_part **tail, enum ir_part_type t)
{
	struct ir_part *p;

	if (r->n_parts >= IR_MAX_PARTS)
		return NULL;
	p = arena_zalloc(r->arena, sizeof(*p));
	if (p == NULL)
		return NULL;
	p->type = t;
	if (*tail != NULL)
		(*tail)->next = p;
	else
		*head = p;
	*tail = p;
	r->n_parts++;
	return p;
}

struct ir_part *
ir_add_part(struct ir_request *r, struct ir_message *m, enum ir_part_type t)
{
	return ir_append_part(r, &m->parts, &m->last_part, t);
}

struct ir_part *
ir_add_result_part(
    struct ir_request *r, struct ir_part *result, enum ir_part_type t)
{
	return ir_append_part(r, &result->parts, &result->last_part, t);
}

struct ir_tool *
ir_add_tool(struct ir_request *r)
{
	struct ir_tool *t;

	if (r->n_tools >= IR_MAX_TOOLS)
		return NULL;
	t = arena_zalloc(r->arena, sizeof(*t));
	if (t == NULL)
		return NULL;
	t->strict = -1;
	if (r->last_tool != NULL)
		r->last_tool->next = t;
	else
		r->tools = t;
	r->last_tool = t;
	r->n_tools++;
	return t;
}

static const char *PRINTF_LIKE(2, 0)
    ir_vformat(struct arena *a, const char *fmt, va_list ap)
{
	char tmp[256];
	int n = vsnprintf(tmp, sizeof(tmp), fmt, ap);

	if (n < 0)
		return NULL;
	if ((size_t)n >= sizeof(tmp)) /* a hostile name: cut, never refused */
		n = (int)sizeof(tmp) - 1;
	return arena_strdup(a, str_make(tmp, (size_t)n));
}

int
ir_note_other(struct ir_request *r, const char *fmt, ...)
{
	const char **grown, *name;
	unsigned cap;
	va_list ap;

	if (r->n_others >= IR_MAX_OTHERS)
		return 0; /* those before it say enough */
	if (r->n_others == r->n_other_slots) {
		cap = r->n_other_slots ? 2 * r->n_other_slots : 8;
		grown = arena_alloc(r->arena, cap * sizeof(*grown));
		if (grown == NULL)
			return ERR_NOMEM;
		if (r->n_others > 0)
			memcpy(grown, r->other_slots,
			    r->n_others * sizeof(*grown));
		r->other_slots = grown;
		r->n_other_slots = cap;
		r->others = grown;
	}
	va_start(ap, fmt);
	name = ir_vformat(r->arena, fmt, ap);
	va_end(ap);
	if (name == NULL)
		return ERR_NOMEM;
	r->other_slots[r->n_others++] = name;
	return 0;
}

const char *
ir_field(struct ir_request *r, const char *fmt, ...)
{
	const char *name;
	va_list ap;

	va_start(ap, fmt);
	name = ir_vformat(r->arena, fmt, ap);
	va_end(ap);
	return name;
}

static struct str
ir_keep(struct arena *a, struct buf *b)
{
	struct str s = STR_NULL;

	if (buf_error(b) == 0) {
		s.p = arena_strdup(a, buf_str(b));
		s.len = s.p != NULL ? b->len : 0;
	}
	buf_release(b);
	return s;
}

struct str
ir_escape(struct arena *a, struct str plain)
{
	struct buf b;

	buf_init(&b, 6 * plain.len + 1);
	(void)buf_add_escaped(&b, plain);
	return ir_keep(a, &b);
}

struct str
ir_plain(struct arena *a, struct str esc)
{
	struct buf quoted, b;
	struct json v;
	int rc;

	buf_init(&b, esc.len + 1);
	if (esc.len == 0 || memchr(esc.p, '\\', esc.len) == NULL) {
		(void)buf_add_str(&b, esc);
		return ir_keep(a, &b);
	}
	buf_init(&quoted, esc.len + 2);
	(void)buf_addc(&quoted, '"');
	(void)buf_add_str(&quoted, esc);
	(void)buf_addc(&quoted, '"');
	rc = buf_error(&quoted);
	if (rc == 0)
		rc = json_validate(buf_str(&quoted),
		    &(struct json_limits){esc.len + 2, 1, 1}, NULL);
	if (rc == 0) {
		v = json_root(buf_str(&quoted));
		rc = v.type == JSON_STRING ? json_unescape(v, &b) : ERR_INVALID;
	}
	buf_release(&quoted);
	if (rc != 0 || (b.len > 0 && memchr(b.data, '\0', b.len) != NULL)) {
		buf_release(&b);
		return STR_NULL;
	}
	return ir_keep(a, &b);
}

/* ---- calls by id ---- */

static uint64_t
ir_hash(uint64_t h, struct str s)
{
	size_t i;

	for (i = 0; i < s.len; i++)
		h = (h ^ (unsigned char)s.p[i]) * UINT64_C(0x100000001b3);
	return h ^ (h >> 29);
}

#define IR_HASH_START UINT64_C(0xcbf29ce484222325)

/* So that ids of neighbours look nothing like each other. */
static uint64_t
ir_mix(uint64_t h)
{
	h = (h ^ (h >> 33)) * UINT64_C(0xff51afd7ed558ccd);
	h = (h ^ (h >> 33)) * UINT64_C(0xc4ceb9fe1a85ec53);
	return h ^ (h >> 33);
}

static const struct ir_part **
ir_calls_slot(const struct ir_calls *c, struct str id)
{
	unsigned mask = c->n_slots - 1;
	unsigned i = (unsigned)ir_hash(IR_HASH_START, id) & mask;

	while (c->slots[i] != NULL && !str_eq(c->slots[i]->id, id))
		i = (i + 1) & mask;
	return &c->slots[i];
}

static void
ir_calls_grow(struct ir_calls *c, struct arena *a)
{
	const struct ir_part **old = c->slots;
	unsigned i, n_old = c->n_slots;

	c->n_slots = n_old ? 4 * n_old : 64;
	c->slots = arena_zalloc(a, c->n_slots * sizeof(*c->slots));
	if (c->slots == NULL) {
		c->broken = true;
		return;
	}
	for (i = 0; i < n_old; i++) {
		if (old[i] != NULL)
			*ir_calls_slot(c, old[i]->id) = old[i];
	}
}

static void
ir_calls_put(struct ir_calls *c, struct arena *a, const struct ir_part *p)
{
	const struct ir_part **slot;

	if (2 * (c->n_used + 1) > c->n_slots)
		ir_calls_grow(c, a);
	if (c->broken)
		return;
	slot = ir_calls_slot(c, p->id);
	if (*slot == NULL)
		c->n_used++;
	*slot = p; /* of several calls with one id the last one counts */
}

/* Take in what was appended since the last time. */
static void
ir_calls_fill(struct ir_calls *c, const struct ir_request *r)
{
	const struct ir_message *m = c->message ? c->message : r->messages;
	const struct ir_part *p;

	for (; m != NULL && !c->broken; m = m->next) {
		p = m == c->message && c->part ? c->part->next : m->parts;
		if (m != c->message) {
			c->message = m;
			c->part = NULL;
		}
		for (; p != NULL && !c->broken; p = p->next) {
			if (p->type == IR_TOOL_CALL && p->id.len > 0)
				ir_calls_put(c, r->arena, p);
			c->part = p;
		}
	}
}

struct str
ir_tool_of_call(const struct ir_request *r, struct str id)
{
	const struct ir_part *p, *found = NULL;
	const struct ir_message *m;

	if (id.len == 0)
		return STR_NULL;
	if (r->calls != NULL)
		ir_calls_fill(r->calls, r);
	if (r->calls != NULL && !r->calls->broken) {
		if (r->calls->n_slots > 0)
			found = *ir_calls_slot(r->calls, id);
		return found != NULL ? found->name : STR_NULL;
	}
	for (m = r->messages; m != NULL; m = m->next) {
		for (p = m->parts; p != NULL; p = p->next) {
			if (p->type == IR_TOOL_CALL && str_eq(p->id, id))
				found = p;
		}
	}
	return found != NULL ? found->name : STR_NULL;
}

struct str
ir_make_call_id(
    struct arena *a, const char *prefix, unsigned position, struct str name)
{
	char digits[12];
	uint64_t h1, h2;
	struct str s;

	(void)snprintf(digits, sizeof(digits), "%u", position);
	h1 = ir_mix(ir_hash(ir_hash(IR_HASH_START, str_of(digits)), name));
	h2 = ir_mix(h1 + UINT64_C(0x9e3779b97f4a7c15));
	/* 24 letters and digits behind the prefix, as the providers' own. */
	s.p = arena_printf(a, "%s%016llx%08llx", prefix, (unsigned long long)h1,
	    (unsigned long long)(h2 & 0xffffffffu));
	s.len = s.p != NULL ? strlen(s.p) : 0;
	return s;
}

/* ---- words ---- */

/* budget: thinking tokens that the effort stands for (the documented mapping
 * of Gemini's OpenAI endpoint, and on beyond it); upto: the largest budget
 * that reads back as it. */
static const struct ir_effort_row {
	const char *name;
	int64_t budget, upto;
} ir_efforts[] = {
    [IR_EFFORT_UNSET] = {"", -1, -1},
    [IR_EFFORT_NONE] = {"none", 0, 0},
    [IR_EFFORT_MINIMAL] = {"minimal", 1024, 1024},
    [IR_EFFORT_LOW] = {"low", 2048, 4096},
    [IR_EFFORT_MEDIUM] = {"medium", 8192, 16384},
    [IR_EFFORT_HIGH] = {"high", 24576, 32768},
    [IR_EFFORT_XHIGH] = {"xhigh", 40960, 49152},
    [IR_EFFORT_MAX] = {"max", 65536, INT64_MAX},
};

int64_t
ir_effort_budget(enum ir_effort e)
{
	return ir_efforts[e].budget;
}

enum ir_effort
ir_budget_effort(int64_t tokens)
{
	int e;

	for (e = IR_EFFORT_UNSET; e < IR_EFFORT_MAX; e++) {
		if (tokens <= ir_efforts[e].upto)
			break;
	}
	return (enum ir_effort)e;
}

const char *
ir_effort_name(enum ir_effort e)
{
	return ir_efforts[e].name;
}

bool
ir_effort_parse(struct str s, enum ir_effort *ret)
{
	int e;

	for (e = IR_EFFORT_NONE; e <= IR_EFFORT_MAX; e++) {
		if (str_eqz(s, ir_efforts[e].name)) {
			*ret = (enum ir_effort)e;
			return true;
		}
	}
	return false;
}

static const struct ir_finish_row {
	const char *openai, *anthropic, *gemini;
} ir_finishes[] = {
    [IR_FINISH_NONE] = {"stop", "end_turn", "STOP"},
    [IR_FINISH_STOP] = {"stop", "end_turn", "STOP"},
    [IR_FINISH_STOP_SEQUENCE] = {"stop", "stop_sequence", "STOP"},
    [IR_FINISH_LENGTH] = {"length", "max_tokens", "MAX_TOKENS"},
    [IR_FINISH_TOOL_CALLS] = {"tool_calls", "tool_use", "STOP"},
    [IR_FINISH_CONTENT_FILTER] = {"content_filter", "refusal", "SAFETY"},
    [IR_FINISH_PAUSE] = {"stop", "pause_turn", "STOP"},
    [IR_FINISH_OTHER] = {"stop", "end_turn", "OTHER"},
};

const char *
ir_finish_openai(enum ir_finish f)
{
	return ir_finishes[f].openai;
}

const char *
ir_finish_anthropic(enum ir_finish f)
{
	return ir_finishes[f].anthropic;
}

const char *
ir_finish_gemini(enum ir_finish f)
{
	return ir_finishes[f].gemini;
}
