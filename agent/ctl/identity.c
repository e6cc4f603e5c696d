/* SPDX-License-Identifier: Apache-2.0 */
/* Identity and boot epoch, see identity.h. */
#include "agent/ctl/identity.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

#include <sodium.h>

#define IDENTITY_MAX   ((size_t)256 << 10)
#define IDENTITY_TITLE "headgate-identity 1"

static int
data_path(const char *dir, const char *name, char dst[PATH_MAX])
{
	int n = snprintf(dst, PATH_MAX, "%s/%s", dir, name);

	return n < 0 || n >= PATH_MAX ? ERR_TOO_LARGE : 0;
}

void
identity_release(struct identity *id)
{
	free(id->group);
	free(id->region);
	free(id->server_name);
	free(id->ca_pem);
	for (unsigned i = 0; i < CHANNEL_MAX_ADDRESSES; i++) {
		free(id->addresses[i]);
		free(id->publish[i]);
	}
	sodium_memzero(id, sizeof(*id));
}

/* ---- reading
 * -------------------------------------------------------------------- */

static int
field_text(char **dst, struct str v)
{
	if (*dst != NULL)
		return ERR_CORRUPT; /* twice */
	*dst = str_dup(v);
	return *dst == NULL ? ERR_NOMEM : 0;
}

static int
field_hex_text(char **dst, struct str v)
{
	char *p;

	if (*dst != NULL || v.len % 2 != 0)
		return ERR_CORRUPT;
	p = calloc(1, v.len / 2 + 1);
	if (p == NULL)
		return ERR_NOMEM;
	*dst = p;
	if (hex_decode(v, p, v.len / 2) != 0 || memchr(p, '\0', v.len / 2))
		return ERR_CORRUPT;
	return 0;
}

static int
field_list(char **list, unsigned *n, struct str v)
{
	if (*n == CHANNEL_MAX_ADDRESSES)
		return ERR_CORRUPT;
	list[*n] = str_dup(v);
	return list[*n] == NULL ? ERR_NOMEM : ((*n)++, 0);
}

static int
identity_field(struct identity *id, struct str name, struct str v)
{
	struct uuid u;

	if (str_eqz(name, "agent_id")) {
		if (uuid_parse(v.p, v.len, &u) != 0)
			return ERR_CORRUPT;
		memcpy(id->agent_uuid, u.b, 16);
		return str_copy(v, id->agent_id, sizeof(id->agent_id));
	}
	if (str_eqz(name, "secret"))
		return hex_decode(v, id->secret, sizeof(id->secret));
	if (str_eqz(name, "control_key"))
		return hex_decode(v, id->control_key, sizeof(id->control_key));
	if (str_eqz(name, "group"))
		return field_text(&id->group, v);
	if (str_eqz(name, "region"))
		return field_text(&id->region, v);
	if (str_eqz(name, "server_name"))
		return field_text(&id->server_name, v);
	if (str_eqz(name, "ca"))
		return field_hex_text(&id->ca_pem, v);
	if (str_eqz(name, "address"))
		return field_list(id->addresses, &id->n_addresses, v);
	if (str_eqz(name, "publish"))
		return field_list(id->publish, &id->n_publish, v);
	return 0; /* of a newer agent */
}

static int
identity_parse(struct identity *id, struct str text)
{
	struct str line, name, value;
	int rc;

	if (str_find(text, '\0') >= 0)
		return ERR_CORRUPT;
	(void)str_cut(text, '\n', &line, &text);
	if (!str_eqz(line, IDENTITY_TITLE))
		return ERR_CORRUPT;
	while (text.len > 0) {
		(void)str_cut(text, '\n', &line, &text);
		if (!str_cut(line, '=', &name, &value))
			return ERR_CORRUPT;
		rc = identity_field(id, str_trim(name), str_trim(value));
		if (rc != 0)
			return rc;
	}
	if (id->agent_id[0] == '\0' || id->n_addresses == 0 ||
	    id->group == NULL || id->region == NULL ||
	    id->server_name == NULL || id->ca_pem == NULL ||
	    sodium_is_zero(id->secret, sizeof(id->secret)) ||
	    sodium_is_zero(id->control_key, sizeof(id->control_key)))
		return ERR_CORRUPT;
	crypto_sign_ed25519_sk_to_pk(id->public_key, id->secret);
	return 0;
}

int
identity_load(
    struct io *io, const char *data_dir, struct identity *ret, struct error *e)
{
	char path[PATH_MAX];
	struct buf b;
	int rc;

	memset(ret, 0, sizeof(*ret));
	if (data_path(data_dir, "identity", path) != 0)
		return err_set(e, ERR_TOO_LARGE, "data-dir is too long");
	buf_init(&b, IDENTITY_MAX);
	rc = io_read_file(io, path, &b, e);
	if (rc == 0) {
		rc = identity_parse(ret, buf_str(&b));
		if (rc != 0)
			err_set(e, rc, "%s is damaged", path);
	}
	if (b.len > 0)
		sodium_memzero(b.data, b.len);
	buf_release(&b);
	if (rc != 0)
		identity_release(ret);
	return rc;
}

/* ---- making
 * ----------------------------------------------------------------------- */

static char *
dup_or_empty(const char *z)
{
	return str_dup(str_of(z == NULL ? "" : z));
}

int
identity_from_token(
    const struct join_token *t, struct identity *ret, struct error *e)
{
	bool ok;

	memset(ret, 0, sizeof(*ret));
	sign_keypair(ret->public_key, ret->secret);
	memcpy(ret->control_key, t->control_key, SIGN_PUBLIC_LEN);
	ret->group = dup_or_empty(t->group);
	ret->region = dup_or_empty(t->region);
	ret->server_name = dup_or_empty(t->server_name);
	ret->ca_pem = dup_or_empty(t->ca_pem);
	ok = ret->group != NULL && ret->region != NULL &&
	     ret->server_name != NULL && ret->ca_pem != NULL;
	for (unsigned i = 0; ok && i < t->n_addresses; i++)
		ok = field_list(ret->addresses, &ret->n_addresses,
			 str_of(t->addresses[i])) == 0;
	for (unsigned i = 0; ok && i < t->n_publish; i++)
		ok = field_list(ret->publish, &ret->n_publish,
			 str_of(t->publish[i])) == 0;
	if (!ok) {
		identity_release(ret);
		return err_set(e, ERR_NOMEM, "out of memory");
	}
	return 0;
}

int
identity_enrolled(struct identity *id, const char *agent_id, const char *group,
    const char *region, struct error *e)
{
	char *g = dup_or_empty(group), *r = dup_or_empty(region);
	struct uuid u;

	if (g == NULL || r == NULL) {
		free(g);
		free(r);
		return err_set(e, ERR_NOMEM, "out of memory");
	}
	free(id->group);
	free(id->region);
	id->group = g;
	id->region = r;
	if (uuid_parse(agent_id, strlen(agent_id), &u) != 0 ||
	    str_copy(str_of(agent_id), id->agent_id, sizeof(id->agent_id)) != 0)
		return err_set(e, ERR_CORRUPT, "the agent id is not a UUID");
	memcpy(id->agent_uuid, u.b, 16);
	return 0;
}

static void
add_hex(struct buf *b, const char *name, const void *p, size_t n)
{
	char *hex = malloc(2 * n + 1);

	if (hex == NULL) {
		b->error = ERR_NOMEM;
		return;
	}
	hex_encode(p, n, hex);
	(void)buf_addf(b, "%s = %s\n", name, hex);
	sodium_memzero(hex, 2 * n);
	free(hex);
}

int
identity_save(struct io *io, const char *data_dir, const struct identity *id,
    struct error *e)
{
	char path[PATH_MAX];
	struct buf b;
	int rc;

	if (data_path(data_dir, "identity", path) != 0)
		return err_set(e, ERR_TOO_LARGE, "data-dir is too long");
	buf_init(&b, IDENTITY_MAX);
	(void)buf_addf(&b, "%s\nagent_id = %s\n", IDENTITY_TITLE, id->agent_id);
	(void)buf_addf(&b, "group = %s\nregion = %s\nserver_name = %s\n",
	    id->group, id->region, id->server_name);
	for (unsigned i = 0; i < id->n_addresses; i++)
		(void)buf_addf(&b, "address = %s\n", id->addresses[i]);
	for (unsigned i = 0; i < id->n_publish; i++)
		(void)buf_addf(&b, "publish = %s\n", id->publish[i]);
	add_hex(&b, "control_key", id->control_key, SIGN_PUBLIC_LEN);
	add_hex(&b, "secret", id->secret, SIGN_SECRET_LEN);
	add_hex(&b, "ca", id->ca_pem, strlen(id->ca_pem));
	rc = buf_error(&b);
	if (rc == 0)
		rc = io_write_file_atomic(io, path, b.data, b.len, 0600, e);
	else
		err_set(e, rc, "cannot write %s", path);
	if (b.data != NULL)
		sodium_memzero(b.data, b.len);
	buf_release(&b);
	return rc;
}

int
epoch_next(
    struct io *io, const char *data_dir, uint64_t *epoch, struct error *e)
{
	char path[PATH_MAX], text[32];
	uint64_t last = 0;
	struct buf b;
	int n, rc;

	if (data_path(data_dir, "epoch", path) != 0)
		return err_set(e, ERR_TOO_LARGE, "data-dir is too long");
	buf_init(&b, 64);
	rc = io_read_file(io, path, &b, e);
	if (rc == 0) {
		struct str s = buf_str(&b);

		if (s.len > 0 && s.p[s.len - 1] == '\n')
			s.len--;
		if (str_to_u64(s, &last) != 0 || last == UINT64_MAX)
			rc = err_set(e, ERR_CORRUPT,
			    "%s is damaged: it must hold the boot epoch, a "
			    "number not below any used before",
			    path);
	} else if (rc == ERR_NOT_FOUND) {
		rc = 0;
	}
	buf_release(&b);
	if (rc != 0)
		return rc;
	*epoch = last + 1;
	n = snprintf(text, sizeof(text), "%" PRIu64 "\n", *epoch);
	return io_write_file_atomic(io, path, text, (size_t)n, 0600, e);
}
