/* SPDX-License-Identifier: Apache-2.0 */
/*
 * YAML files to JSON items, remembering where every value stood, so that an
 * error about "/items/3/spec/limit_usd" can be told as file, line and field.
 * Limits: 8 MiB a file, depth 32, 100,000 values; anchors and aliases are
 * refused (they make small files large); duplicate keys are refused.
 */
#ifndef CLI_YAML_H
#define CLI_YAML_H

#include <jansson.h>

#include "common/buf.h"

struct yaml_place {
	char *path; /* JSON pointer, "/items/3/spec/limit_usd" */
	const char *file;
	size_t line; /* from 1 */
};

struct yaml_set {
	json_t *items; /* array of documents */
	struct yaml_place *places;
	size_t n_places, cap_places;
	char **files; /* names, owned */
	size_t n_files;
};

void yaml_set_init(struct yaml_set *s);
void yaml_set_release(struct yaml_set *s);
/* Append the documents of text; name is for messages. On error e->text starts
 * with "file:line: ". */
int yaml_load(struct yaml_set *s, const char *name, struct str text,
    struct error *e) MUST_CHECK;
/* The place of path or of its nearest known ancestor; NULL when unknown. */
const struct yaml_place *yaml_find(const struct yaml_set *s, const char *path);

#endif
