/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See boot.h.
 */
#include "controlplane/boot.h"

#include <grp.h>
#include <limits.h>
#include <pwd.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/log.h"
#include "controlplane/store/migrate.h"

static int
boot_embedded(const struct control_options *o, enum boot_mode mode,
    struct boot *b, char *conninfo, size_t cap, struct error *e)
{
	struct embedded_options eo = {
	    .dir = control_embedded_dir(o),
	    .user = *o->postgres_user ? o->postgres_user : o->user,
	    .bindir = o->postgres_bindir,
	    .unsafe_fast = o->store_unsafe_fast,
	    .max_conns = (unsigned)o->db_connections + 16,
	};
	int rc;

	rc = embedded_start(&eo, &b->em, e);
	if (rc == ERR_CONFLICT && mode == BOOT_TOOL)
		return embedded_attach(eo.dir, conninfo, cap, e);
	if (rc != 0)
		return err_wrap(e, "embedded store");
	snprintf(conninfo, cap, "%s", embedded_conninfo(b->em));
	return 0;
}

static int
boot_vault(const struct control_options *o, struct vault **ret, struct error *e)
{
	const char *dir = control_embedded_dir(o);
	const char *text = getenv("HEADGATE_MASTER_KEY");
	char path[PATH_MAX];
	uint8_t key[32];

	if (*o->master_key_file != '\0')
		return vault_open_file(o->master_key_file, true, ret, e);
	if (text != NULL && *text != '\0') {
		if (hex_decode(str_of(text), key, sizeof(key)) != 0 ||
		    strlen(text) != 64)
			return err_set(e, ERR_INVALID,
			    "HEADGATE_MASTER_KEY must be 64 hexadecimal "
			    "digits");
		*ret = vault_new(key);
		sodium_memzero(key, sizeof(key));
		unsetenv("HEADGATE_MASTER_KEY");
		return *ret ? 0 : err_set(e, ERR_NOMEM, "no memory");
	}
	if (dir == NULL)
		return err_set_field(e, ERR_USAGE, "master-key-file",
		    "--master-key-file (or HEADGATE_MASTER_KEY) is needed");
	snprintf(path, sizeof(path), "%s/master.key", dir);
	return vault_open_file(path, true, ret, e);
}

int
boot_open(const struct control_options *o, enum boot_mode mode, struct boot *b,
    struct error *e)
{
	struct store_options so = {
	    .max_conns = (unsigned)o->db_connections,
	    .application = "headgate-control",
	};
	char conninfo[512];
	int rc = 0, applied = 0;

	*b = (struct boot){0};
	so.conninfo = o->store;
	if (control_embedded_dir(o) != NULL) {
		rc = boot_embedded(o, mode, b, conninfo, sizeof(conninfo), e);
		so.conninfo = conninfo;
	}
	if (rc == 0)
		rc = store_open(&so, &b->store, e);
	if (rc == 0)
		rc = migrate_run(b->store, schema_migrations,
		    n_schema_migrations, &applied, e);
	if (rc == 0 && applied > 0)
		log_info("schema migrated", LFI("applied", applied));
	if (rc == 0)
		rc = boot_vault(o, &b->vault, e);
	if (rc == 0)
		rc = vault_check(b->vault, b->store, e);
	if (rc != 0)
		boot_close(b);
	return rc;
}

void
boot_close(struct boot *b)
{
	store_close(b->store);
	vault_free(b->vault);
	embedded_stop(b->em, 0);
	*b = (struct boot){0};
}

int
boot_drop_user(const struct control_options *o, struct error *e)
{
	struct passwd *pw;

	if (*o->user == '\0' || geteuid() != 0)
		return 0;
	pw = getpwnam(o->user);
	if (pw == NULL)
		return err_set_field(
		    e, ERR_NOT_FOUND, "user", "no user %s", o->user);
	if (initgroups(pw->pw_name, pw->pw_gid) != 0 ||
	    setgid(pw->pw_gid) != 0 || setuid(pw->pw_uid) != 0)
		return err_set_field(
		    e, ERR_FORBIDDEN, "user", "cannot become user %s", o->user);
	return 0;
}
