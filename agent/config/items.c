/* SPDX-License-Identifier: Apache-2.0 */
/* Item store, see items.h. The outer message is read field by field without
 * unpacking it: a snapshot may have hundreds of thousands of items. */
#include "agent/config/items.h"

#include <inttypes.h>
#include <stdlib.h>

#include "common/arena.h"
#include "proto/headgate.pb-c.h"
#include "proto/wire.h"

#define ITEM_MAX ((size_t)4 << 20)

/* Field numbers of hg.Bundle, hg.Item and hg.ItemRef (proto/headgate.proto). */
enum {
	BUNDLE_GROUP = 1,
	BUNDLE_BASE_VERSION,
	BUNDLE_VERSION,
	BUNDLE_BASE_HASH,
	BUNDLE_STATE_HASH,
	BUNDLE_CREATED_AT,
	BUNDLE_ITEMS,
	BUNDLE_DELETES,
	BUNDLE_MIN_MINOR,
};
enum { ITEM_KIND = 1, ITEM_UID = 2 };

static void
blob_unref(uint32_t kind, struct item_blob *b)
{
	if (b == NULL || atomic_fetch_sub(&b->refs, 1) != 1)
		return;
	if (kind == HG__ITEM_KIND__ITEM_PROVIDER) /* holds a credential */
		sodium_memzero(b->bytes, b->len);
	free(b);
}

struct item_state *
items_ref(struct item_state *s)
{
	atomic_fetch_add(&s->refs, 1);
	return s;
}

void
items_unref(struct item_state *s)
{
	if (s == NULL || atomic_fetch_sub(&s->refs, 1) != 1)
		return;
	for (size_t i = 0; i < s->n; i++)
		blob_unref(s->items[i].kind, s->items[i].blob);
	free(s->items);
	free(s->group);
	free(s);
}

static int
head_field(struct bundle_head *h, const struct wire_field *f)
{
	bool bytes = f->number == BUNDLE_GROUP ||
		     f->number == BUNDLE_BASE_HASH ||
		     f->number == BUNDLE_STATE_HASH ||
		     f->number == BUNDLE_ITEMS || f->number == BUNDLE_DELETES;

	if (f->number <= BUNDLE_MIN_MINOR && f->is_bytes != bytes)
		return ERR_CORRUPT;
	switch (f->number) {
	case BUNDLE_GROUP:
		h->group = f->bytes;
		break;
	case BUNDLE_BASE_VERSION:
		h->base_version = f->value;
		break;
	case BUNDLE_VERSION:
		h->version = f->value;
		break;
	case BUNDLE_BASE_HASH:
		h->base_hash = f->bytes;
		break;
	case BUNDLE_STATE_HASH:
		h->state_hash = f->bytes;
		break;
	case BUNDLE_CREATED_AT:
		h->created_at = (int64_t)f->value;
		break;
	case BUNDLE_ITEMS:
		h->n_items++;
		break;
	case BUNDLE_DELETES:
		h->n_deletes++;
		break;
	case BUNDLE_MIN_MINOR:
		h->min_schema_minor = (uint32_t)f->value;
		break;
	default: /* of a newer control plane */
		break;
	}
	return 0;
}

int
bundle_head_read(struct str bundle, struct bundle_head *ret, struct error *e)
{
	struct wire_field f;
	struct wire w;

	memset(ret, 0, sizeof(*ret));
	wire_init(&w, bundle);
	while (wire_next(&w, &f))
		if (head_field(ret, &f) != 0)
			w.bad = true;
	if (w.bad || ret->state_hash.len != STATE_HASH_LEN || ret->version == 0)
		return err_set(e, ERR_CORRUPT, "malformed bundle");
	if (ret->min_schema_minor > PROTO_SCHEMA_MINOR)
		return err_set(e, ERR_UNSUPPORTED,
		    "bundle %" PRIu64 " needs schema %u.%u, this agent has "
		    "%u.%u: upgrade it",
		    ret->version, PROTO_SCHEMA_MAJOR, ret->min_schema_minor,
		    PROTO_SCHEMA_MAJOR, PROTO_SCHEMA_MINOR);
	return 0;
}

/* kind and uid of a packed hg.Item or hg.ItemRef. */
static int
item_id(struct str bytes, struct item *ret)
{
	struct wire_field f;
	struct wire w;

	ret->kind = 0;
	ret->uid = 0;
	wire_init(&w, bytes);
	while (wire_next(&w, &f)) {
		if (f.number > ITEM_UID)
			continue;
		if (f.is_bytes ||
		    f.value > (f.number == ITEM_KIND ? UINT32_MAX : UINT64_MAX))
			return ERR_CORRUPT;
		if (f.number == ITEM_KIND)
			ret->kind = (uint32_t)f.value;
		else
			ret->uid = f.value;
	}
	return w.bad || ret->kind == 0 || ret->uid == 0 ? ERR_CORRUPT : 0;
}

static int
item_make(struct str bytes, struct item *ret)
{
	int rc;

	if (bytes.len > ITEM_MAX)
		return ERR_TOO_LARGE;
	rc = item_id(bytes, ret);
	if (rc != 0)
		return rc;
	ret->blob = malloc(sizeof(*ret->blob) + bytes.len);
	if (ret->blob == NULL)
		return ERR_NOMEM;
	atomic_init(&ret->blob->refs, 1);
	ret->blob->len = (uint32_t)bytes.len;
	memcpy(ret->blob->bytes, bytes.p, bytes.len);
	item_hash(bytes, ret->hash);
	return 0;
}

static int
item_cmp(const void *a, const void *b)
{
	const struct item *x = a, *y = b;

	if (x->kind != y->kind)
		return x->kind < y->kind ? -1 : 1;
	return x->uid < y->uid ? -1 : x->uid > y->uid;
}

/* The changes of a bundle, sorted; a delete has blob NULL. */
struct changes {
	struct item *v;
	size_t n;
};

static void
changes_release(struct changes *c)
{
	for (size_t i = 0; i < c->n; i++)
		blob_unref(c->v[i].kind, c->v[i].blob);
	free(c->v);
}

static int
changes_read(struct str bundle, const struct bundle_head *h, struct changes *c)
{
	struct wire_field f;
	struct wire w;
	int rc = 0;

	c->n = 0;
	c->v = calloc(h->n_items + h->n_deletes + 1, sizeof(*c->v));
	if (c->v == NULL)
		return ERR_NOMEM;
	wire_init(&w, bundle);
	while (rc == 0 && wire_next(&w, &f)) {
		if (f.number == BUNDLE_ITEMS)
			rc = item_make(f.bytes, &c->v[c->n]);
		else if (f.number == BUNDLE_DELETES)
			rc = item_id(f.bytes, &c->v[c->n]);
		else
			continue;
		if (rc == 0)
			c->n++;
	}
	if (rc != 0)
		return rc;
	qsort(c->v, c->n, sizeof(*c->v), item_cmp);
	for (size_t i = 1; i < c->n; i++)
		if (item_cmp(&c->v[i - 1], &c->v[i]) == 0)
			return ERR_CORRUPT;
	return 0;
}

/* Merge base and changes into s->items, which has room for both. */
static void
items_merge(
    struct item_state *s, const struct item_state *base, struct changes *c)
{
	size_t nb = base == NULL ? 0 : base->n, ib = 0, ic = 0;

	while (ib < nb || ic < c->n) {
		int order = ib == nb ? 1
			    : ic == c->n
				? -1
				: item_cmp(&base->items[ib], &c->v[ic]);

		if (order < 0) {
			s->items[s->n] = base->items[ib++];
			atomic_fetch_add(&s->items[s->n++].blob->refs, 1);
			continue;
		}
		if (order == 0)
			ib++;
		if (c->v[ic].blob != NULL) {
			s->items[s->n++] = c->v[ic];
			c->v[ic].blob = NULL; /* moved */
		}
		ic++;
	}
}

static void
items_hash(const struct item_state *s, uint8_t hash[STATE_HASH_LEN])
{
	struct state_hasher h;

	state_hash_init(&h);
	for (size_t i = 0; i < s->n; i++)
		state_hash_add(
		    &h, s->items[i].kind, s->items[i].uid, s->items[i].hash);
	state_hash_final(&h, hash);
}

static int
items_check_base(
    const struct item_state *base, const struct bundle_head *h, struct error *e)
{
	if (h->base_version == 0)
		return 0;
	if (base == NULL || base->version != h->base_version ||
	    h->base_hash.len != STATE_HASH_LEN ||
	    memcmp(base->hash, h->base_hash.p, STATE_HASH_LEN) != 0)
		return err_set(e, ERR_VERSION,
		    "delta starts from version %" PRIu64 ", this is %" PRIu64,
		    h->base_version, base == NULL ? 0 : base->version);
	return 0;
}

int
items_apply(const struct item_state *base, struct str bundle,
    struct item_state **ret, struct error *e)
{
	struct item_state *s = NULL;
	struct changes c = {NULL, 0};
	struct bundle_head h;
	int rc;

	rc = bundle_head_read(bundle, &h, e);
	if (rc == 0)
		rc = items_check_base(base, &h, e);
	if (rc != 0)
		return rc;
	if (h.base_version == 0)
		base = NULL;
	rc = changes_read(bundle, &h, &c);
	if (rc != 0) {
		err_set(e, rc, "malformed item in bundle %" PRIu64, h.version);
		goto out;
	}
	rc = ERR_NOMEM;
	s = calloc(1, sizeof(*s));
	if (s == NULL)
		goto out;
	atomic_init(&s->refs, 1);
	s->items =
	    calloc((base == NULL ? 0 : base->n) + c.n + 1, sizeof(*s->items));
	s->group = str_dup(h.group);
	if (s->items == NULL || s->group == NULL)
		goto out;
	items_merge(s, base, &c);
	s->version = h.version;
	s->created_at = h.created_at;
	items_hash(s, s->hash);
	rc = 0;
	if (memcmp(s->hash, h.state_hash.p, STATE_HASH_LEN) != 0)
		rc = err_set(e, ERR_CORRUPT,
		    "bundle %" PRIu64 " does not lead to its state hash",
		    h.version);
out:
	changes_release(&c);
	if (rc == ERR_NOMEM)
		err_set(e, rc, "no memory for the configuration");
	if (rc != 0)
		items_unref(s);
	else
		*ret = s;
	return rc;
}

/* ---- packing ----------------------------------------------------------------
 */

static void
pack_varint(struct buf *out, uint64_t v)
{
	while (v >= 0x80) {
		(void)buf_addc(out, (char)(v | 0x80));
		v >>= 7;
	}
	(void)buf_addc(out, (char)v);
}

static void
pack_number(struct buf *out, unsigned field, uint64_t v)
{
	if (v == 0)
		return;
	pack_varint(out, field << 3);
	pack_varint(out, v);
}

static void
pack_bytes(struct buf *out, unsigned field, const void *p, size_t n)
{
	if (n == 0)
		return;
	pack_varint(out, field << 3 | 2);
	pack_varint(out, n);
	(void)buf_add(out, p, n);
}

int
items_pack(const struct item_state *s, struct buf *out)
{
	pack_bytes(out, BUNDLE_GROUP, s->group, strlen(s->group));
	pack_number(out, BUNDLE_VERSION, s->version);
	pack_bytes(out, BUNDLE_STATE_HASH, s->hash, sizeof(s->hash));
	pack_number(out, BUNDLE_CREATED_AT, (uint64_t)s->created_at);
	for (size_t i = 0; i < s->n; i++)
		pack_bytes(out, BUNDLE_ITEMS, s->items[i].blob->bytes,
		    s->items[i].blob->len);
	return buf_error(out);
}
