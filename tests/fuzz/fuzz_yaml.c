/* SPDX-License-Identifier: Apache-2.0 */
/* YAML files of `headgate apply`: never crash; what loads has its places. */
#include <stdint.h>

#include "cli/yaml.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct yaml_set set;
	struct error e = {0};
	int rc;

	yaml_set_init(&set);
	rc = yaml_load(&set, "f", str_make((const char *)data, size), &e);
	if (rc == 0)
		for (size_t i = 0; i < set.n_places; i++)
			MUST(yaml_find(&set, set.places[i].path) != NULL);
	else
		MUST(e.text[0] != '\0');
	yaml_set_release(&set);
	return 0;
}
