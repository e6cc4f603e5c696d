/* SPDX-License-Identifier: Apache-2.0 */
/* State hash, signed bundles, sealed deltas. Formats: proto/bundle.h. */
#include "proto/bundle.h"

#include <stdlib.h>

#include "proto/headgate.pb-c.h"
#include "proto/wire.h"

static const char bundle_label[] = "headgate-bundle-v1";
static const char delta_label[] = "headgate-delta-v1";

#define DELTA_GROUP_MAX 128

void
item_hash(struct str packed, uint8_t hash[STATE_HASH_LEN])
{
	crypto_generichash(hash, STATE_HASH_LEN, (const uint8_t *)packed.p,
	    packed.len, NULL, 0);
}

uint32_t
item_schema_minor(const Hg__Item *m)
{
	const Hg__Budget *b = m->budget;

	if (b != NULL && b->each != NULL && b->each[0] != '\0')
		return 2;
	if (b != NULL && (b->model_uid != 0 || b->provider_uid != 0 ||
			     b->route_uid != 0 || b->n_tags > 0))
		return 1;
	for (size_t i = 0; m->model != NULL && i < m->model->n_prices; i++) {
		const Hg__PriceLine *l = m->model->prices[i];

		if (l->tier[0] != '\0' || l->above_tokens != 0)
			return 1;
	}
	return 0;
}

void
state_hash_init(struct state_hasher *h)
{
	crypto_generichash_init(&h->state, NULL, 0, STATE_HASH_LEN);
	h->last_kind = 0;
	h->last_uid = 0;
	h->any = false;
}

void
state_hash_add(struct state_hasher *h, uint32_t kind, uint64_t uid,
    const uint8_t item[STATE_HASH_LEN])
{
	uint8_t head[12];
	unsigned i;

	MUST(!h->any || kind > h->last_kind ||
	     (kind == h->last_kind && uid > h->last_uid));
	h->any = true;
	h->last_kind = kind;
	h->last_uid = uid;
	for (i = 0; i < 4; i++)
		head[i] = (uint8_t)(kind >> (8 * i));
	for (i = 0; i < 8; i++)
		head[4 + i] = (uint8_t)(uid >> (8 * i));
	crypto_generichash_update(&h->state, head, sizeof(head));
	crypto_generichash_update(&h->state, item, STATE_HASH_LEN);
}

void
state_hash_final(struct state_hasher *h, uint8_t hash[STATE_HASH_LEN])
{
	crypto_generichash_final(&h->state, hash, STATE_HASH_LEN);
}

/* label with its NUL, then the bytes; malloc'ed. */
static uint8_t *
bundle_canonical(struct str bundle, size_t *len)
{
	uint8_t *p = malloc(sizeof(bundle_label) + bundle.len);

	if (p == NULL)
		return NULL;
	memcpy(p, bundle_label, sizeof(bundle_label));
	if (bundle.len != 0)
		memcpy(p + sizeof(bundle_label), bundle.p, bundle.len);
	*len = sizeof(bundle_label) + bundle.len;
	return p;
}

int
bundle_sign(
    struct str bundle, const uint8_t secret[SIGN_SECRET_LEN], struct buf *out)
{
	Hg__SignedBundle m;
	uint8_t sig[SIGN_LEN], *bytes;
	size_t len;
	int rc;

	hg__signed_bundle__init(&m);
	bytes = bundle_canonical(bundle, &len);
	if (bytes == NULL)
		return ERR_NOMEM;
	rc = crypto_sign_detached(sig, NULL, bytes, len, secret);
	free(bytes);
	MUST(rc == 0);
	m.bundle.len = bundle.len;
	m.bundle.data = (uint8_t *)(uintptr_t)bundle.p;
	m.signature.len = sizeof(sig);
	m.signature.data = sig;
	return proto_pack(&m.base, out);
}

/* Two or three bytes fields, numbered from 1, each at most once. */
static int
bytes_fields(struct str message, struct str *fields, unsigned n)
{
	struct wire_field f;
	unsigned seen = 0;
	struct wire w;

	wire_init(&w, message);
	while (wire_next(&w, &f)) {
		if (f.number > n)
			continue;
		if (!f.is_bytes || (seen >> f.number & 1))
			return ERR_CORRUPT;
		seen |= 1u << f.number;
		fields[f.number - 1] = f.bytes;
	}
	return w.bad ? ERR_CORRUPT : 0;
}

int
bundle_verify(struct str signed_bundle,
    const uint8_t control_key[SIGN_PUBLIC_LEN], struct str *bundle,
    struct error *e)
{
	struct str f[2] = {STR_NULL, STR_NULL};
	uint8_t *bytes;
	size_t len;
	int rc;

	if (signed_bundle.len > BUNDLE_MAX)
		return err_set(
		    e, ERR_TOO_LARGE, "bundle of %zu bytes", signed_bundle.len);
	if (bytes_fields(signed_bundle, f, 2) != 0 || f[1].len != SIGN_LEN)
		return err_set(e, ERR_CORRUPT, "malformed signed bundle");
	bytes = bundle_canonical(f[0], &len);
	if (bytes == NULL)
		return err_set(e, ERR_NOMEM, "no memory for a bundle");
	rc = crypto_sign_verify_detached(
	    (const uint8_t *)f[1].p, bytes, len, control_key);
	free(bytes);
	if (rc != 0)
		return err_set(e, ERR_SIGNATURE,
		    "bundle is not signed by the control plane");
	*bundle = f[0];
	return 0;
}

static size_t
delta_aad(const char *group, uint8_t aad[])
{
	size_t n = strlen(group);

	memcpy(aad, delta_label, sizeof(delta_label));
	memcpy(aad + sizeof(delta_label), group, n);
	return sizeof(delta_label) + n;
}

int
delta_seal(const char *group, uint32_t key_id, const uint8_t key[GROUP_KEY_LEN],
    struct rng *rng, struct str signed_bundle, struct buf *out)
{
	uint8_t nonce[crypto_aead_xchacha20poly1305_ietf_NPUBBYTES];
	uint8_t aad[sizeof(delta_label) + DELTA_GROUP_MAX], *sealed;
	Hg__SealedDelta m;
	unsigned long long n = 0;
	char name[DELTA_GROUP_MAX];
	int rc;

	hg__sealed_delta__init(&m);
	rc = str_copy(str_of(group), name, sizeof(name));
	if (rc != 0)
		return rc;
	sealed = malloc(
	    signed_bundle.len + crypto_aead_xchacha20poly1305_ietf_ABYTES);
	if (sealed == NULL)
		return ERR_NOMEM;
	rng->fill(rng, nonce, sizeof(nonce));
	crypto_aead_xchacha20poly1305_ietf_encrypt(sealed, &n,
	    (const uint8_t *)signed_bundle.p, signed_bundle.len, aad,
	    delta_aad(name, aad), NULL, nonce, key);
	m.group = name;
	m.key_id = key_id;
	m.nonce.len = sizeof(nonce);
	m.nonce.data = nonce;
	m.sealed.len = (size_t)n;
	m.sealed.data = sealed;
	rc = proto_pack(&m.base, out);
	free(sealed);
	return rc;
}

int
delta_open(struct str sealed_delta, const char *group,
    const uint8_t key[GROUP_KEY_LEN], struct buf *out, struct error *e)
{
	uint8_t aad[sizeof(delta_label) + DELTA_GROUP_MAX];
	struct str f[3] = {STR_NULL, STR_NULL, STR_NULL};
	unsigned long long n = 0;
	int rc;

	if (bytes_fields(sealed_delta, f, 3) != 0 ||
	    f[1].len != crypto_aead_xchacha20poly1305_ietf_NPUBBYTES ||
	    f[2].len < crypto_aead_xchacha20poly1305_ietf_ABYTES)
		return err_set(e, ERR_CORRUPT, "malformed delta");
	if (strlen(group) >= DELTA_GROUP_MAX || !str_eqz(f[0], group))
		return err_set(e, ERR_SIGNATURE, "delta of another group");
	rc = buf_reserve(out, f[2].len);
	if (rc != 0)
		return err_set(e, rc, "delta of %zu bytes", f[2].len);
	rc = crypto_aead_xchacha20poly1305_ietf_decrypt(
	    (uint8_t *)out->data + out->len, &n, NULL, (const uint8_t *)f[2].p,
	    f[2].len, aad, delta_aad(group, aad), (const uint8_t *)f[1].p, key);
	if (rc != 0)
		return err_set(
		    e, ERR_SIGNATURE, "delta is not of this group's key");
	out->len += (size_t)n;
	return 0;
}

int
delta_publish(const struct delta_publication *p,
    const uint8_t secret[SIGN_SECRET_LEN], struct rng *rng, struct buf *out)
{
	struct envelope env = {.type = HG__MESSAGE_TYPE__MSG_BUNDLE,
	    .seq = p->version,
	    .sender = STR(ENVELOPE_CONTROL)};
	struct buf sealed;
	int rc;

	buf_init(&sealed, ENVELOPE_PAYLOAD_MAX);
	rc = delta_seal(
	    p->group, p->key_id, p->key, rng, p->signed_bundle, &sealed);
	env.payload = buf_str(&sealed);
	if (rc == 0)
		rc = envelope_pack(&env, secret, out);
	buf_release(&sealed);
	return rc;
}
