/* SPDX-License-Identifier: Apache-2.0 */
/* Encoding of journal records, see record.h. */
#include "agent/journal/record.h"

#include <string.h>

#include "agent/journal/crc32c.h"

void
put_u32(uint8_t *p, uint32_t v)
{
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
	v = __builtin_bswap32(v);
#endif
	memcpy(p, &v, 4);
}

void
put_u64(uint8_t *p, uint64_t v)
{
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
	v = __builtin_bswap64(v);
#endif
	memcpy(p, &v, 8);
}

uint32_t
get_u32(const uint8_t *p)
{
	uint32_t v;

	memcpy(&v, p, 4);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
	v = __builtin_bswap32(v);
#endif
	return v;
}

uint64_t
get_u64(const uint8_t *p)
{
	uint64_t v;

	memcpy(&v, p, 8);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
	v = __builtin_bswap64(v);
#endif
	return v;
}

static uint8_t *
add_u64(uint8_t *p, uint64_t v)
{
	put_u64(p, v);
	return p + 8;
}

static uint8_t *
add_i64(uint8_t *p, int64_t v)
{
	return add_u64(p, (uint64_t)v);
}

static uint8_t *
add_string(uint8_t *p, const char *z, size_t cap)
{
	size_t n = strnlen(z, cap - 1);

	*p++ = (uint8_t)n;
	memcpy(p, z, n);
	return p + n;
}

/* Classes up to the last one that is not 0. */
static unsigned
tokens_len(const struct tokens *t)
{
	unsigned n = TC_COUNT;

	while (n > 0 && t->n[n - 1] == 0)
		n--;
	return n;
}

static uint8_t *
add_head(uint8_t *p, const struct journal_intent *i, const struct tokens *t)
{
	unsigned n_tokens = tokens_len(t);

	MUST(i->n_charges <= BUNDLE_MAX_BUDGETS);
	memcpy(p, i->request_id, 16);
	put_u32(p + 16, i->attempt);
	p[20] = i->streamed;
	p[21] = (uint8_t)i->n_charges;
	p[22] = (uint8_t)n_tokens;
	p[23] = 0;
	p = add_i64(p + 24, i->started_at);
	p = add_u64(p, i->tenant_uid);
	p = add_u64(p, i->team_uid);
	p = add_u64(p, i->project_uid);
	p = add_u64(p, i->key_uid);
	p = add_u64(p, i->route_uid);
	p = add_u64(p, i->deployment_uid);
	p = add_u64(p, i->provider_uid);
	p = add_u64(p, i->model_uid);
	p = add_u64(p, i->config_version);
	p = add_u64(p, i->price_version);
	p = add_i64(p, i->reserved);
	for (unsigned k = 0; k < i->n_charges; k++) {
		p = add_u64(p, i->charges[k].budget_uid);
		p = add_i64(p, i->charges[k].period_start);
	}
	for (unsigned k = 0; k < n_tokens; k++)
		p = add_i64(p, t->n[k]);
	return p;
}

static uint8_t *
add_tags(uint8_t *p, const struct tags *t)
{
	MUST(t->len <= sizeof(t->bytes));
	memcpy(p, t->bytes, t->len);
	return p + t->len;
}

static size_t
record_seal(uint8_t *dst, const uint8_t *end, uint32_t type, uint64_t seq)
{
	size_t len = (size_t)(end - dst) - RECORD_HEADER;
	uint32_t crc;

	put_u32(dst, (uint32_t)len);
	put_u32(dst + 4, type);
	put_u64(dst + 8, seq);
	crc = crc32c(0, dst, 16);
	put_u32(dst + 16, crc32c(crc, dst + RECORD_HEADER, len));
	return RECORD_HEADER + len;
}

size_t
record_encode_intent(uint8_t *dst, const struct journal_intent *i)
{
	uint8_t *p = add_head(dst + RECORD_HEADER, i, &i->worst);

	return record_seal(dst, add_tags(p, &i->tags), RECORD_INTENT, 0);
}

size_t
record_encode_usage(uint8_t *dst, const struct journal_usage *u, uint64_t seq)
{
	uint8_t *p = add_head(dst + RECORD_HEADER, &u->head, &u->tokens);

	p = add_i64(p, u->cost);
	put_u32(p, u->source);
	put_u32(p + 4, u->http_status);
	p = add_i64(p + 8, u->duration_us);
	p = add_i64(p, u->first_byte_us);
	p = add_string(p, u->finish_reason, sizeof(u->finish_reason));
	p = add_string(p, u->error_code, sizeof(u->error_code));
	p = add_string(
	    p, u->upstream_request_id, sizeof(u->upstream_request_id));
	if (u->tier[0] != '\0' || u->head.tags.len > 0)
		p = add_string(p, u->tier, sizeof(u->tier));
	p = add_tags(p, &u->head.tags);
	return record_seal(dst, p, RECORD_USAGE, seq);
}

size_t
record_encode_lower(uint8_t *dst, const struct journal_intent *i)
{
	unsigned n_tokens = tokens_len(&i->worst);
	uint8_t *p = dst + RECORD_HEADER;

	memcpy(p, i->request_id, 16);
	put_u32(p + 16, i->attempt);
	put_u32(p + 20, n_tokens);
	p = add_i64(p + 24, i->reserved);
	for (unsigned k = 0; k < n_tokens; k++)
		p = add_i64(p, i->worst.n[k]);
	return record_seal(dst, p, RECORD_LOWER, 0);
}

int
record_parse(const uint8_t *p, size_t n, struct record *ret, size_t *size)
{
	uint32_t len, type, crc;

	if (n < RECORD_HEADER)
		return ERR_END;
	len = get_u32(p);
	type = get_u32(p + 4);
	if (len < (type == RECORD_LOWER ? RECORD_LOWER_HEAD : RECORD_HEAD) ||
	    len > RECORD_PAYLOAD_MAX || type == 0 || type > RECORD_LOWER)
		return ERR_CORRUPT;
	if (n < RECORD_HEADER + len)
		return ERR_END;
	crc = crc32c(crc32c(0, p, 16), p + RECORD_HEADER, len);
	if (crc != get_u32(p + 16))
		return ERR_CORRUPT;
	ret->type = type;
	ret->seq = get_u64(p + 8);
	ret->payload = str_make((const char *)p + RECORD_HEADER, len);
	*size = RECORD_HEADER + len;
	return 0;
}

bool
record_next(struct str *rest, struct record *ret)
{
	size_t size;

	if (record_parse((const uint8_t *)rest->p, rest->len, ret, &size) != 0)
		return false;
	rest->p += size;
	rest->len -= size;
	return true;
}

/* Strict reader over a payload: an error sticks. */
struct cursor {
	const uint8_t *p, *end;
	bool bad;
};

static const uint8_t *
cursor_take(struct cursor *c, size_t n)
{
	const uint8_t *p = c->p;

	if (c->bad || (size_t)(c->end - c->p) < n) {
		c->bad = true;
		return NULL;
	}
	c->p += n;
	return p;
}

static uint64_t
cursor_u64(struct cursor *c)
{
	const uint8_t *p = cursor_take(c, 8);

	return p == NULL ? 0 : get_u64(p);
}

static int64_t
cursor_i64(struct cursor *c)
{
	return (int64_t)cursor_u64(c);
}

static uint32_t
cursor_u32(struct cursor *c)
{
	const uint8_t *p = cursor_take(c, 4);

	return p == NULL ? 0 : get_u32(p);
}

static void
cursor_string(struct cursor *c, char *dst, size_t cap)
{
	const uint8_t *n = cursor_take(c, 1);
	const uint8_t *p = n == NULL ? NULL : cursor_take(c, *n);

	dst[0] = '\0';
	if (p == NULL)
		return;
	if (*n >= cap) {
		c->bad = true;
		return;
	}
	memcpy(dst, p, *n);
	dst[*n] = '\0';
}

/* The rest. */
static void
cursor_tags(struct cursor *c, struct tags *t)
{
	if (c->bad || tags_decode(t, str_make((const char *)c->p,
					 (size_t)(c->end - c->p))) != 0)
		c->bad = true;
}

static void
cursor_head(struct cursor *c, struct journal_intent *i, struct tokens *t)
{
	const uint8_t *p = cursor_take(c, 24);

	if (p == NULL)
		return;
	memcpy(i->request_id, p, 16);
	i->attempt = get_u32(p + 16);
	i->streamed = p[20] != 0;
	i->n_charges = p[21];
	if (i->n_charges > BUNDLE_MAX_BUDGETS || p[22] > TC_COUNT ||
	    p[20] > 1 || p[23] != 0) {
		c->bad = true;
		return;
	}
	i->started_at = cursor_i64(c);
	i->tenant_uid = cursor_u64(c);
	i->team_uid = cursor_u64(c);
	i->project_uid = cursor_u64(c);
	i->key_uid = cursor_u64(c);
	i->route_uid = cursor_u64(c);
	i->deployment_uid = cursor_u64(c);
	i->provider_uid = cursor_u64(c);
	i->model_uid = cursor_u64(c);
	i->config_version = cursor_u64(c);
	i->price_version = cursor_u64(c);
	i->reserved = cursor_i64(c);
	for (unsigned k = 0; k < i->n_charges; k++) {
		i->charges[k].budget_uid = cursor_u64(c);
		i->charges[k].period_start = cursor_i64(c);
	}
	for (unsigned k = 0; k < p[22]; k++)
		t->n[k] = cursor_i64(c);
}

int
record_decode_intent(struct str payload, struct journal_intent *ret)
{
	const uint8_t *p = (const uint8_t *)payload.p;
	struct cursor c = {p, p + payload.len, false};

	memset(ret, 0, sizeof(*ret));
	cursor_head(&c, ret, &ret->worst);
	cursor_tags(&c, &ret->tags);
	return c.bad ? ERR_CORRUPT : 0;
}

int
record_decode_usage(struct str payload, struct journal_usage *ret)
{
	const uint8_t *p = (const uint8_t *)payload.p;
	struct cursor c = {p, p + payload.len, false};

	memset(ret, 0, sizeof(*ret));
	cursor_head(&c, &ret->head, &ret->tokens);
	ret->cost = cursor_i64(&c);
	ret->source = cursor_u32(&c);
	ret->http_status = cursor_u32(&c);
	ret->duration_us = cursor_i64(&c);
	ret->first_byte_us = cursor_i64(&c);
	cursor_string(&c, ret->finish_reason, sizeof(ret->finish_reason));
	cursor_string(&c, ret->error_code, sizeof(ret->error_code));
	cursor_string(
	    &c, ret->upstream_request_id, sizeof(ret->upstream_request_id));
	if (!c.bad && c.p != c.end) {
		cursor_string(&c, ret->tier, sizeof(ret->tier));
		cursor_tags(&c, &ret->head.tags);
		c.bad =
		    c.bad || (ret->tier[0] == '\0' && ret->head.tags.len == 0);
	}
	return c.bad ? ERR_CORRUPT : 0;
}

int
record_decode_lower(struct str payload, struct journal_intent *ret)
{
	const uint8_t *p = (const uint8_t *)payload.p;
	struct cursor c = {p, p + payload.len, false};
	uint32_t n_tokens;

	memset(ret, 0, sizeof(*ret));
	p = cursor_take(&c, RECORD_ID);
	if (p == NULL)
		return ERR_CORRUPT;
	memcpy(ret->request_id, p, 16);
	ret->attempt = get_u32(p + 16);
	n_tokens = cursor_u32(&c);
	ret->reserved = cursor_i64(&c);
	for (uint32_t k = 0; k < n_tokens && k < TC_COUNT; k++)
		ret->worst.n[k] = cursor_i64(&c);
	return c.bad || c.p != c.end || n_tokens > TC_COUNT || ret->reserved < 0
		   ? ERR_CORRUPT
		   : 0;
}
