/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzz target: the JSON scanner against jansson, on any bytes.
 */
#include "tests/fuzz/json_oracle.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	(void)oracle_check(str_make((const char *)data, size));
	return 0;
}
