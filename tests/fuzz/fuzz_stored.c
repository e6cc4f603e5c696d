/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzz target: ids of stored responses. First byte: what the rest is: 0 an id
 * that a client sends; else an id of a provider's, which is sealed and then
 * changed at a place and by a value that the next two bytes name. What is
 * opened is what was sealed, for the tenant it was sealed for, and no other
 * text opens.
 */
#include <stdint.h>
#include <string.h>

#include "agent/front/stored.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define TENANT UINT64_C(0x8000000000000007)

static const struct b_provider provider = {
    .name = {"p", 1}, .credential = {"secret", 6}};
static const struct b_deployment deployments[] = {
    {.uid = 1, .provider = &provider},
    {.uid = UINT64_MAX, .provider = &provider}};
static const struct bundle bundle = {
    .n_deployments = 2, .deployments = deployments};

static bool
is_plain(struct str s)
{
	size_t i;

	for (i = 0; i < s.len; i++)
		if (s.p[i] == '\0' ||
		    strchr("abcdefghijklmnopqrstuvwxyz"
			   "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-",
			s.p[i]) == NULL)
			return false;
	return true;
}

/* Anything: what opens is sealed to the same text. */
static void
open_any(struct str id)
{
	char up[STORED_ID_MAX], again[STORED_ID_MAX];
	const struct b_deployment *d = stored_open(&bundle, TENANT, id, up);

	if (d == NULL)
		return;
	MUST(stored_seal(d, TENANT, str_of(up), again));
	MUST(str_eqz(id, again));
}

static void
seal_and_change(struct str up, size_t at, uint8_t by)
{
	char id[STORED_ID_MAX], back[STORED_ID_MAX];
	const struct b_deployment *d = &deployments[by & 1];

	if (!stored_seal(d, TENANT, up, id)) {
		MUST(up.len > 120 || up.len <= 5 ||
		     !str_starts(up, STR("resp_")) || !is_plain(up));
		return;
	}
	MUST(is_plain(str_of(id)) && str_starts(str_of(id), STR("resp_hg")));
	MUST(stored_open(&bundle, TENANT, str_of(id), back) == d);
	MUST(str_eqz(up, back));
	MUST(stored_open(&bundle, TENANT + 1, str_of(id), back) == NULL);
	at %= strlen(id);
	if (by == 0)
		id[at] = '\0'; /* cut off */
	else
		id[at] = (char)((uint8_t)id[at] ^ by);
	MUST(stored_open(&bundle, TENANT, str_of(id), back) == NULL);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 3 || size > 4096)
		return 0;
	if (data[0] == '0')
		open_any(str_make((const char *)data + 1, size - 1));
	else
		seal_and_change(str_make((const char *)data + 3, size - 3),
		    data[1], data[2]);
	return 0;
}
