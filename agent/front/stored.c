/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sealing and opening ids of stored responses, and what the requests that use
 * them need.
 */
#include "agent/front/stored.h"

#include <sodium.h>
#include <stdio.h>

#include "agent/front/front.h"

#define STORED_MAC	    16
#define STORED_RAW	    (8 + STORED_MAC)
#define STORED_CODED	    32 /* base64url of STORED_RAW bytes */
#define STORED_HEAD	    "resp_hg"
#define STORED_UPSTREAM_MAX 120 /* sealed, it fits into STORED_ID_MAX */

static void
stored_mac(const struct b_deployment *d, uint64_t tenant_uid, struct str id,
    uint8_t mac[STORED_MAC])
{
	static const char label[] = "headgate stored response";
	crypto_generichash_state st;
	uint8_t key[32], uids[16];
	int i;

	for (i = 0; i < 8; i++) {
		uids[i] = (uint8_t)(tenant_uid >> (8 * i));
		uids[8 + i] = (uint8_t)(d->uid >> (8 * i));
	}
	crypto_generichash(key, sizeof(key),
	    (const uint8_t *)(d->provider->credential.len > 0
				  ? d->provider->credential.p
				  : ""),
	    d->provider->credential.len, (const uint8_t *)label,
	    sizeof(label) - 1);
	crypto_generichash_init(&st, key, sizeof(key), STORED_MAC);
	crypto_generichash_update(&st, uids, sizeof(uids));
	crypto_generichash_update(&st, (const uint8_t *)id.p, id.len);
	crypto_generichash_final(&st, mac, STORED_MAC);
	sodium_memzero(key, sizeof(key));
}

/* Bytes that may stand in a path and in JSON as they are. */
static bool
stored_is_plain(struct str id)
{
	size_t i;

	for (i = 0; i < id.len; i++) {
		char c = id.p[i];

		if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
			(c >= '0' && c <= '9') || c == '_' || c == '-'))
			return false;
	}
	return true;
}

bool
stored_seal(const struct b_deployment *d, uint64_t tenant_uid,
    struct str upstream, char dst[STORED_ID_MAX])
{
	uint8_t raw[STORED_RAW];
	char coded[STORED_CODED + 1];
	int i;

	if (!str_starts(upstream, STR("resp_")) || upstream.len == 5 ||
	    upstream.len > STORED_UPSTREAM_MAX || !stored_is_plain(upstream))
		return false;
	for (i = 0; i < 8; i++)
		raw[i] = (uint8_t)(d->uid >> (8 * i));
	stored_mac(d, tenant_uid, upstream, raw + 8);
	sodium_bin2base64(coded, sizeof(coded), raw, sizeof(raw),
	    sodium_base64_VARIANT_URLSAFE_NO_PADDING);
	(void)snprintf(dst, STORED_ID_MAX, STORED_HEAD "%s_%.*s", coded,
	    (int)upstream.len - 5, upstream.p + 5);
	return true;
}

static const struct b_deployment *
stored_deployment(const struct bundle *b, uint64_t uid)
{
	unsigned i;

	for (i = 0; i < b->n_deployments; i++) {
		if (b->deployments[i].uid == uid)
			return &b->deployments[i];
	}
	return NULL;
}

const struct b_deployment *
stored_open(const struct bundle *b, uint64_t tenant_uid, struct str id,
    char upstream[STORED_ID_MAX])
{
	const size_t head = sizeof(STORED_HEAD) - 1;
	const struct b_deployment *d;
	uint8_t raw[STORED_RAW], mac[STORED_MAC];
	uint64_t uid = 0;
	size_t n;
	int i;

	if (!str_starts(id, STR(STORED_HEAD)) || id.len >= STORED_ID_MAX ||
	    id.len < head + STORED_CODED + 2 || !stored_is_plain(id) ||
	    id.p[head + STORED_CODED] != '_' ||
	    base64_decode(str_make(id.p + head, STORED_CODED),
		sodium_base64_VARIANT_URLSAFE_NO_PADDING, NULL, raw,
		sizeof(raw), &n) != 0 ||
	    n != sizeof(raw))
		return NULL;
	for (i = 0; i < 8; i++)
		uid |= (uint64_t)raw[i] << (8 * i);
	(void)snprintf(upstream, STORED_ID_MAX, "resp_%.*s",
	    (int)(id.len - head - STORED_CODED - 1),
	    id.p + head + STORED_CODED + 1);
	d = stored_deployment(b, uid);
	if (d == NULL)
		return NULL;
	stored_mac(d, tenant_uid, str_of(upstream), mac);
	return sodium_memcmp(mac, raw + 8, STORED_MAC) == 0 ? d : NULL;
}

bool
stored_seal_answer(void *ctx, struct str upstream, char dst[STORED_ID_MAX])
{
	const struct request *r = ctx;

	return stored_seal(r->att.dep, r->key->tenant_uid, upstream, dst);
}

static struct json
stored_member(const struct request *r, const char *name)
{
	struct json v = {NULL, NULL, JSON_NULL};

	(void)json_getz(json_root(buf_str(&r->body)), name, &v);
	return v;
}

/* Items that the provider keeps are nobody's: their ids tell no tenant. */
static bool
stored_refers_to_items(struct json input)
{
	struct json_iter it = json_iter(input);
	struct json item, type;

	if (input.type != JSON_ARRAY)
		return false;
	while (json_next_element(&it, &item)) {
		if (item.type == JSON_OBJECT &&
		    json_getz(item, "type", &type) &&
		    type.type == JSON_STRING &&
		    json_key_eq(json_raw_string(type), STR("item_reference")))
			return true;
	}
	return false;
}

bool
stored_read(struct request *r)
{
	struct json prev = stored_member(r, "previous_response_id");
	char id[STORED_ID_MAX];

	if (json_is_true(stored_member(r, "background"))) {
		refuse_field(r, ERR_UNSUPPORTED, "background",
		    "background responses are not served: their usage would "
		    "not be known");
		return false;
	}
	if (stored_member(r, "conversation").type != JSON_NULL) {
		refuse_field(r, ERR_UNSUPPORTED, "conversation",
		    "conversations kept by the provider are not served");
		return false;
	}
	if (stored_refers_to_items(stored_member(r, "input"))) {
		refuse_field(r, ERR_UNSUPPORTED, "input",
		    "references to items kept by the provider are not served");
		return false;
	}
	r->keeps_id = stored_member(r, "store").type != JSON_BOOL ||
		      json_is_true(stored_member(r, "store"));
	if (prev.type != JSON_STRING)
		return true;
	if (json_copy_string(prev, id, sizeof(id)) == 0)
		r->pin = stored_open(
		    r->bundle, r->key->tenant_uid, str_of(id), r->stored + 1);
	if (r->pin == NULL) {
		refuse_field(r, ERR_INVALID, "previous_response_id",
		    "no previous response with this id was found");
		return false;
	}
	r->stored[0] = '"';
	(void)snprintf(r->stored_own, sizeof(r->stored_own), "%s", id);
	r->scan.swap_span = str_make(prev.p, (size_t)(prev.end - prev.p));
	r->stored_len = strlen(r->stored);
	r->stored[r->stored_len] = '"';
	r->scan.swap_text = str_make(r->stored, r->stored_len + 1);
	return true;
}

/* A route to the deployment that the key may use. */
static const struct b_route *
stored_route(const struct request *r, const struct b_deployment *d)
{
	const struct b_route *route;
	unsigned i, k;

	for (i = 0; i < r->bundle->n_routes; i++) {
		route = &r->bundle->routes[i];
		if (!bundle_key_may(r->key, route))
			continue;
		for (k = 0; k < route->n_targets; k++) {
			if (route->targets[k].deployment == d)
				return route;
		}
	}
	return NULL;
}

bool
stored_find(struct request *r)
{
	struct scan *s = &r->scan;

	memset(s, 0, sizeof(*s));
	s->op = r->target.s.op;
	s->n = 1;
	s->max_output = -1;
	r->pin = stored_open(r->bundle, r->key->tenant_uid,
	    str_of(r->target.s.id), r->stored + 1);
	if (r->pin != NULL)
		r->route = stored_route(r, r->pin);
	if (r->route == NULL) {
		refuse_field(r, ERR_NOT_FOUND, NULL,
		    "no response with this id was found");
		return false;
	}
	r->keeps_id = true;
	r->stored_len = strlen(r->stored + 1) + 1;
	(void)snprintf(
	    r->stored_own, sizeof(r->stored_own), "%s", r->target.s.id);
	return true;
}
