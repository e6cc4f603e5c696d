/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Shapes of bodies and parameters that are not items, as tables; items come
 * from the table of kinds.
 */
#ifndef CONTROLPLANE_REST_OPENAPI_SCHEMAS_H
#define CONTROLPLANE_REST_OPENAPI_SCHEMAS_H

#include <stddef.h>

/*
 * One member of an object schema. Rows of one schema stand together. type:
 *   string int nano bool time uuid usd any labels tokens object
 *   a|b|c  one of the words        [T]  list of T       @Name  a schema
 * with '-' in front: may be absent; with '?' behind: may be null.
 * name NULL: type is that of the whole schema.
 */
struct schema_row {
	const char *schema;
	const char *name;
	const char *type;
	const char *help;
};
extern const struct schema_row schema_rows[];
extern const size_t n_schema_rows;

/* A query, path or header parameter. operation NULL: of all operations. */
struct param_row {
	const char *name;
	const char *operation;
	const char *type;
	const char *help;
};
extern const struct param_row param_rows[];
extern const size_t n_param_rows;

#endif
