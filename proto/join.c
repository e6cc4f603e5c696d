/* SPDX-License-Identifier: Apache-2.0 */
/* Text form of join tokens. */
#include "proto/join.h"

#include <sodium.h>
#include <stdlib.h>

#include "proto/headgate.pb-c.h"

#define JOIN_B64 sodium_base64_VARIANT_URLSAFE_NO_PADDING

int
join_token_format(const struct join_token *t, struct buf *out)
{
	Hg__JoinToken m;
	char *addresses[CHANNEL_MAX_ADDRESSES], *publish[CHANNEL_MAX_ADDRESSES];
	struct buf packed;
	size_t n;
	int rc;

	hg__join_token__init(&m);
	MUST(t->n_addresses <= CHANNEL_MAX_ADDRESSES &&
	     t->n_publish <= CHANNEL_MAX_ADDRESSES);
	memcpy(addresses, t->addresses, sizeof(addresses));
	memcpy(publish, t->publish, sizeof(publish));
	m.n_addresses = t->n_addresses;
	m.addresses = addresses;
	m.n_publish = t->n_publish;
	m.publish = publish;
	m.server_name = t->server_name;
	m.ca_pem = t->ca_pem;
	m.control_key.len = SIGN_PUBLIC_LEN;
	m.control_key.data = (uint8_t *)(uintptr_t)t->control_key;
	m.token_id = t->token_id;
	m.secret.len = JOIN_SECRET_LEN;
	m.secret.data = (uint8_t *)(uintptr_t)t->secret;
	m.group = t->group;
	m.region = t->region;
	buf_init(&packed, JOIN_TEXT_MAX);
	rc = proto_pack(&m.base, &packed);
	n = sodium_base64_encoded_len(packed.len, JOIN_B64);
	if (rc == 0)
		rc = buf_addz(out, JOIN_PREFIX);
	if (rc == 0)
		rc = buf_reserve(out, n);
	if (rc == 0) {
		sodium_bin2base64(out->data + out->len, n,
		    (const uint8_t *)packed.data, packed.len, JOIN_B64);
		out->len += n - 1; /* n counts the NUL */
	}
	if (packed.data != NULL)
		sodium_memzero(packed.data, packed.len);
	buf_release(&packed);
	return rc;
}

static int
join_copy_list(char **dst, unsigned *n_dst, char **src, size_t n)
{
	size_t i;

	if (n == 0 || n > CHANNEL_MAX_ADDRESSES)
		return ERR_INVALID;
	for (i = 0; i < n; i++) {
		dst[i] = str_dup(str_of(src[i]));
		if (dst[i] == NULL)
			return ERR_NOMEM;
		(*n_dst)++;
	}
	return 0;
}

static int
join_from_message(const Hg__JoinToken *m, struct join_token *t)
{
	int rc;

	if (m->control_key.len != SIGN_PUBLIC_LEN ||
	    m->secret.len != JOIN_SECRET_LEN || m->token_id[0] == '\0')
		return ERR_INVALID;
	memcpy(t->control_key, m->control_key.data, SIGN_PUBLIC_LEN);
	memcpy(t->secret, m->secret.data, JOIN_SECRET_LEN);
	rc = join_copy_list(
	    t->addresses, &t->n_addresses, m->addresses, m->n_addresses);
	if (rc == 0)
		rc = join_copy_list(
		    t->publish, &t->n_publish, m->publish, m->n_publish);
	if (rc != 0)
		return rc;
	t->server_name = str_dup(str_of(m->server_name));
	t->ca_pem = str_dup(str_of(m->ca_pem));
	t->token_id = str_dup(str_of(m->token_id));
	t->group = str_dup(str_of(m->group));
	t->region = str_dup(str_of(m->region));
	if (t->server_name == NULL || t->ca_pem == NULL ||
	    t->token_id == NULL || t->group == NULL || t->region == NULL)
		return ERR_NOMEM;
	return 0;
}

static struct str
trim_space(struct str s)
{
	while (s.len > 0 && strchr(" \t\r\n", s.p[0]) != NULL) {
		s.p++;
		s.len--;
	}
	while (s.len > 0 && strchr(" \t\r\n", s.p[s.len - 1]) != NULL)
		s.len--;
	return s;
}

int
join_token_parse(struct str text, struct join_token *ret, struct error *e)
{
	struct str prefix = STR(JOIN_PREFIX);
	struct join_token t = {0};
	uint8_t *packed = NULL;
	Hg__JoinToken *m = NULL;
	struct arena a;
	size_t n = 0;
	int rc = ERR_INVALID;

	arena_init(&a, 4096, 256 << 10);
	text = trim_space(text);
	if (text.len > JOIN_TEXT_MAX || !str_starts(text, prefix))
		goto out;
	packed = malloc(text.len);
	if (packed == NULL) {
		rc = ERR_NOMEM;
		goto out;
	}
	if (base64_decode(str_make(text.p + prefix.len, text.len - prefix.len),
		JOIN_B64, NULL, packed, text.len, &n) == 0)
		m = proto_unpack(&hg__join_token__descriptor,
		    str_make((const char *)packed, n), &a);
	if (m != NULL)
		rc = join_from_message(m, &t);
	else if (a.failed)
		rc = ERR_NOMEM;
out:
	if (rc == 0)
		*ret = t;
	else
		join_token_release(&t);
	if (packed != NULL)
		sodium_memzero(packed, n);
	free(packed);
	arena_release(&a);
	if (rc == ERR_INVALID)
		return err_set(e, rc,
		    "not a join token (it starts with \"" JOIN_PREFIX
		    "\" and must be complete)");
	return rc != 0 ? err_set(e, rc, "cannot read the join token") : 0;
}

void
join_token_release(struct join_token *t)
{
	unsigned i;

	for (i = 0; i < t->n_addresses; i++)
		free(t->addresses[i]);
	for (i = 0; i < t->n_publish; i++)
		free(t->publish[i]);
	free(t->server_name);
	free(t->ca_pem);
	free(t->token_id);
	free(t->group);
	free(t->region);
	sodium_memzero(t, sizeof(*t));
}

void
join_secret_text(
    const uint8_t secret[JOIN_SECRET_LEN], char dst[2 * JOIN_SECRET_LEN + 1])
{
	hex_encode(secret, JOIN_SECRET_LEN, dst);
}
