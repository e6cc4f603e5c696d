/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ids of stored responses: what is sealed opens for its tenant, and for nobody
 * else; ids that could not be opened again are not sealed.
 */
#include <string.h>

#include "agent/front/stored.h"
#include "tests/unit/support/unit.h"

static const struct b_provider provider = {
    .name = {"p", 1}, .credential = {"secret", 6}};
static const struct b_deployment deployment = {.uid = 7, .provider = &provider};
static const struct bundle bundle = {
    .n_deployments = 1, .deployments = &deployment};

START_TEST(test_round)
{
	char id[STORED_ID_MAX], back[STORED_ID_MAX];

	ck_assert(stored_seal(&deployment, 3, STR("resp_a-Z_09"), id));
	ck_assert_ptr_eq(
	    stored_open(&bundle, 3, str_of(id), back), &deployment);
	ck_assert_str_eq(back, "resp_a-Z_09");
	ck_assert_ptr_null(stored_open(&bundle, 4, str_of(id), back));
	id[strlen(id) - 1] ^= 1;
	ck_assert_ptr_null(stored_open(&bundle, 3, str_of(id), back));
}
END_TEST

START_TEST(test_odd_ids)
{
	static const char *const odd[] = {"", "resp_", "msg_1", "resp_a/b",
	    "resp_a\"", "resp_a b", "resp_%41"};
	char id[STORED_ID_MAX], back[STORED_ID_MAX], longer[140];

	for (size_t i = 0; i < sizeof(odd) / sizeof(odd[0]); i++)
		ck_assert_msg(!stored_seal(&deployment, 3, str_of(odd[i]), id),
		    "%s", odd[i]);
	memset(longer, 'a', sizeof(longer));
	memcpy(longer, "resp_", 5);
	ck_assert(stored_seal(&deployment, 3, str_make(longer, 120), id));
	ck_assert_ptr_eq(
	    stored_open(&bundle, 3, str_of(id), back), &deployment);
	ck_assert(str_eqz(str_make(longer, 120), back));
	ck_assert(!stored_seal(&deployment, 3, str_make(longer, 121), id));
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("stored");

	UNIT_ADD(s, test_round);
	UNIT_ADD(s, test_odd_ids);
	return unit_run(s);
}
