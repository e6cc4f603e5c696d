/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Admin tokens from the command line: the first owner's, and the sub-command
 * admin-token, which works without a running control plane.
 */
#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "common/clock.h"
#include "common/io.h"
#include "controlplane/boot.h"
#include "controlplane/store/store_admin.h"

static int
token_audit(struct db *db, const char *action, const struct admin_token *t,
    struct error *e)
{
	char target[192];
	struct audit_entry a = {
	    .actor = STR("command line"),
	    .role = STR("owner"),
	    .action = str_of(action),
	};

	snprintf(target, sizeof(target), "admin-tokens/%s", t->name);
	a.target = str_of(target);
	return audit_add(db, &a, e);
}

struct first_token {
	const char *file;
	bool made;
};

static int
first_token_show(const char *file, const char *secret, struct error *e)
{
	char line[ADMIN_TOKEN_TEXT + 2];
	int n = snprintf(line, sizeof(line), "%s\n", secret), rc = 0;

	if (*file != '\0')
		rc = io_write_file_atomic(
		    io_system(), file, line, (size_t)n, 0600, e);
	else
		fprintf(stderr,
		    "First owner token (shown once, keep it safe): %s", line);
	sodium_memzero(line, sizeof(line));
	return rc;
}

static int
first_token_tx(struct db *db, void *ctx, struct error *e)
{
	struct first_token *f = ctx;
	char secret[ADMIN_TOKEN_TEXT];
	struct admin_token t;
	int64_t n = 0;
	int rc;

	f->made = false;
	rc = db_lock(db, STORE_LOCK_LEADER, e);
	if (rc == 0)
		rc = admin_token_count(db, ROLE_OWNER, &n, e);
	if (rc != 0 || n > 0)
		return rc;
	rc = admin_token_create(db, STR("bootstrap"), ROLE_OWNER, 0,
	    STR("bootstrap"), secret, &t, e);
	if (rc == 0)
		rc = token_audit(db, "bootstrap", &t, e);
	/* Before the commit: a token that nobody saw is of no use. */
	if (rc == 0)
		rc = first_token_show(f->file, secret, e);
	sodium_memzero(secret, sizeof(secret));
	f->made = rc == 0;
	return rc;
}

int
boot_first_token(struct store *s, const char *file, bool *made, struct error *e)
{
	struct first_token f = {.file = file};
	int rc;

	rc = store_tx(s, 0, first_token_tx, &f, e);
	*made = rc == 0 && f.made;
	return rc;
}

/* ---- admin-token ---- */

struct token_command {
	const struct control_options *o;
	int64_t expires_at;
	char secret[ADMIN_TOKEN_TEXT];
};

static int
token_create_tx(struct db *db, void *ctx, struct error *e)
{
	struct token_command *c = ctx;
	enum admin_role role;
	struct admin_token t;
	int rc;

	if (admin_role_parse(str_of(c->o->role), &role) != 0)
		return err_set_field(e, ERR_USAGE, "role",
		    "--role is owner, admin, finance or viewer");
	rc = admin_token_create(db, str_of(c->o->name), role, c->expires_at,
	    STR("command line"), c->secret, &t, e);
	if (rc == 0)
		rc = token_audit(db, "create", &t, e);
	return rc;
}

static int
token_revoke_tx(struct db *db, void *ctx, struct error *e)
{
	struct token_command *c = ctx;
	struct admin_token t;
	int rc;

	rc = admin_token_revoke(db, str_of(c->o->name), &t, e);
	if (rc == 0)
		rc = token_audit(db, "delete", &t, e);
	return rc;
}

static int
token_print(void *ctx, const struct admin_token *t)
{
	char created[40], expires[40] = "never", used[40] = "never";

	(void)ctx;
	time_format(t->created_at, 0, created);
	if (t->expires_at != 0)
		time_format(t->expires_at, 0, expires);
	if (t->last_used_at != 0)
		time_format(t->last_used_at, 0, used);
	printf("%lld\t%s\t%s\t%s...\tcreated %s\texpires %s\tused %s\n",
	    (long long)t->id, t->name, admin_role_name(t->role), t->prefix,
	    created, expires, used);
	return 0;
}

static int
token_list(struct store *s, struct error *e)
{
	struct db *db = NULL;
	int rc;

	rc = store_take(s, &db, e);
	if (rc == 0)
		rc = admin_token_list(db, token_print, NULL, e);
	store_give(db);
	return rc;
}

/* "720h" -> nanoseconds. */
static int
token_life(const char *text, int64_t *ns, struct error *e)
{
	static const struct {
		char unit;
		int64_t s;
	} units[] = {{'s', 1}, {'m', 60}, {'h', 3600}, {'d', 86400}};
	struct str s = str_of(text);
	int64_t n;

	if (s.len >= 2 && str_to_i64(str_make(s.p, s.len - 1), &n) == 0)
		for (size_t i = 0; i < 4; i++)
			if (s.p[s.len - 1] == units[i].unit && n > 0 &&
			    n < INT64_C(3153600000) / units[i].s) {
				*ns = n * units[i].s * NS_PER_S;
				return 0;
			}
	return err_set_field(e, ERR_USAGE, "expires-in",
	    "--expires-in is like 90d, 720h or 30m");
}

int
boot_admin_token(struct store *s, const struct control_options *o,
    const char *verb, struct error *e)
{
	struct token_command c = {.o = o};
	int64_t life = 0;
	int rc;

	if (strcmp(verb, "list") == 0)
		return token_list(s, e);
	if (*o->name == '\0')
		return err_set_field(e, ERR_USAGE, "name", "--name is needed");
	if (strcmp(verb, "revoke") == 0)
		return store_tx(s, 0, token_revoke_tx, &c, e);
	if (strcmp(verb, "create") != 0)
		return err_set(e, ERR_USAGE,
		    "admin-token %s: say create, list or revoke", verb);
	if (*o->expires_in != '\0') {
		rc = token_life(o->expires_in, &life, e);
		if (rc != 0)
			return rc;
		c.expires_at = clock_wall(clock_system()) + life;
	}
	rc = store_tx(s, 0, token_create_tx, &c, e);
	if (rc == 0)
		printf("%s\n", c.secret);
	sodium_memzero(c.secret, sizeof(c.secret));
	return rc;
}
