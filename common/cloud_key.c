/* SPDX-License-Identifier: Apache-2.0 */
/* Reading credentials that are JSON, see cloud_key.h. */
#include "common/cloud_key.h"

#include <sodium.h>

#include "common/json.h"

#define CREDENTIAL_TEXT_MAX 16384

static const struct json_limits credential_limits = {
    .max_bytes = (size_t)32 << 10, .max_depth = 4, .max_members = 64};

struct reader {
	struct json root;
	struct arena *a;
	struct error *e;
};

static int
credential_open(
    struct str text, struct arena *a, struct reader *r, struct error *e)
{
	/* The text of a parser's message could hold a part of the secret. */
	if (json_validate(text, &credential_limits, NULL) != 0)
		return err_set(e, ERR_INVALID, "the credential is not JSON");
	r->root = json_root(text);
	r->a = a;
	r->e = e;
	if (r->root.type != JSON_OBJECT)
		return err_set(
		    e, ERR_INVALID, "the credential is not a JSON object");
	return 0;
}

/* multi: line feeds are allowed. */
static int
credential_text(struct reader *r, const char *name, bool needed, bool multi,
    struct str *ret)
{
	char text[CREDENTIAL_TEXT_MAX];
	struct json v;
	size_t i, n;
	int rc = 0;

	*ret = STR("");
	if (!json_getz(r->root, name, &v) || v.type == JSON_NULL)
		return needed ? err_set(r->e, ERR_INVALID,
				    "the credential has no %s", name)
			      : 0;
	text[0] = '\0';
	if (v.type != JSON_STRING ||
	    json_copy_string(v, text, sizeof(text)) != 0)
		rc = ERR_INVALID;
	n = strlen(text);
	for (i = 0; i < n; i++)
		if ((text[i] < ' ' && !(multi && text[i] == '\n')) ||
		    text[i] > '~')
			rc = ERR_INVALID;
	if (rc == 0 && needed && n == 0)
		rc = ERR_INVALID;
	if (rc != 0)
		(void)err_set(
		    r->e, rc, "the credential's %s is malformed", name);
	else
		*ret = str_make(arena_strdup(r->a, str_make(text, n)), n);
	sodium_memzero(text, sizeof(text));
	if (rc == 0 && ret->p == NULL)
		return err_set(r->e, ERR_NOMEM, "out of memory");
	return rc;
}

int
aws_keys_parse(
    struct str json, struct arena *a, struct aws_keys *ret, struct error *e)
{
	struct reader r;
	int rc = credential_open(json, a, &r, e);

	if (rc == 0)
		rc = credential_text(
		    &r, "access_key_id", true, false, &ret->access_key_id);
	if (rc == 0)
		rc = credential_text(&r, "secret_access_key", true, false,
		    &ret->secret_access_key);
	if (rc == 0)
		rc = credential_text(
		    &r, "session_token", false, false, &ret->session_token);
	return rc;
}

int
service_account_parse(struct str json, bool plain_http, struct arena *a,
    struct service_account *ret, struct error *e)
{
	struct reader r;
	int rc = credential_open(json, a, &r, e);

	if (rc == 0)
		rc = credential_text(
		    &r, "client_email", true, false, &ret->client_email);
	if (rc == 0)
		rc = credential_text(
		    &r, "private_key", true, true, &ret->private_key);
	if (rc == 0)
		rc = credential_text(
		    &r, "private_key_id", false, false, &ret->private_key_id);
	if (rc == 0)
		rc = credential_text(
		    &r, "token_uri", true, false, &ret->token_uri);
	if (rc != 0)
		return rc;
	if (!str_starts(ret->token_uri, STR("https://")) &&
	    !(plain_http && str_starts(ret->token_uri, STR("http://"))))
		return err_set(
		    e, ERR_INVALID, "the credential's token_uri is not https");
	return 0;
}
