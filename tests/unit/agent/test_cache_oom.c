/* SPDX-License-Identifier: Apache-2.0 */
/* A configuration that could not be sealed is not said to be saved, and an
 * item is not malformed because memory ran out. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "agent/config/cache.h"
#include "agent/config/compile.h"
#include "tests/unit/agent/config_kit.h"
#include "tests/unit/agent/journal_kit.h"
#include "tests/unit/support/oom.h"
#include "tests/unit/support/unit.h"

START_TEST(test_save)
{
	static const uint8_t key[DISK_KEY_LEN] = {9};
	char dir[PATH_MAX / 2], path[PATH_MAX];
	struct item_state *s;
	struct world w;
	struct error e;

	(void)snprintf(dir, sizeof(dir), "%s/cache-XXXXXX",
	    getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	(void)snprintf(path, sizeof(path), "%s/bundle-5.enc", dir);
	world_init(&w);
	s = world_state(&w);
	EACH_OOM
	{
		bool there;
		int rc;

		memset(&e, 0, sizeof(e)); /* as if nothing had gone wrong */
		rc = cache_save(io_system(), dir, key, rng_system(), s, &e);
		there = access(path, F_OK) == 0;
		(void)unlink(path);
		if (oom_hit())
			ck_assert_int_eq(rc, ERR_NOMEM);
		else
			ck_assert_int_eq(rc, 0);
		ck_assert_int_eq(there, rc == 0);
	}
	ck_assert_uint_gt(oom_failures(), 2);
	items_unref(s);
	world_release(&w);
	kit_remove_dir(dir);
}
END_TEST

START_TEST(test_compile)
{
	struct item_state *s;
	struct world w;

	world_init(&w);
	s = world_state(&w);
	EACH_OOM
	{
		struct lease_table *leases = lease_table_new(NULL);
		struct limit_registry *limits = limit_registry_new();
		struct bundle *b = NULL;
		struct reject why;
		struct error e;
		int rc = ERR_NOMEM;

		if (leases != NULL && limits != NULL)
			rc = bundle_compile(s, leases, limits, &b, &why, &e);
		bundle_unref(b);
		limit_registry_free(limits);
		lease_table_free(leases);
		if (oom_hit())
			ck_assert_int_eq(rc, ERR_NOMEM);
		else
			ck_assert_int_eq(rc, 0);
	}
	ck_assert_uint_gt(oom_failures(), 2);
	items_unref(s);
	world_release(&w);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("cache_oom");

	UNIT_ADD(s, test_save);
	UNIT_ADD(s, test_compile);
	return unit_run(s);
}
