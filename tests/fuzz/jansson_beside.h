/* SPDX-License-Identifier: Apache-2.0 */
/*
 * jansson beside common/json.h: both call their types JSON_OBJECT and so on,
 * so those of jansson get other names here, and its tests of types, which are
 * macros that use them, functions. Include before common/json.h.
 */
#ifndef TESTS_FUZZ_JANSSON_BESIDE_H
#define TESTS_FUZZ_JANSSON_BESIDE_H

#define JSON_OBJECT  JANSSON_OBJECT
#define JSON_ARRAY   JANSSON_ARRAY
#define JSON_STRING  JANSSON_STRING
#define JSON_INTEGER JANSSON_INTEGER
#define JSON_REAL    JANSSON_REAL
#define JSON_TRUE    JANSSON_TRUE
#define JSON_FALSE   JANSSON_FALSE
#define JSON_NULL    JANSSON_NULL
#include <jansson.h>
#include <stdbool.h>

static inline bool
tree_is_object(const json_t *v)
{
	return json_is_object(v);
}

static inline bool
tree_is_array(const json_t *v)
{
	return json_is_array(v);
}

static inline bool
tree_is_string(const json_t *v)
{
	return json_is_string(v);
}

static inline bool
tree_is_integer(const json_t *v)
{
	return json_is_integer(v);
}

static inline bool
tree_is_real(const json_t *v)
{
	return json_is_real(v);
}

static inline bool
tree_is_null(const json_t *v)
{
	return json_is_null(v);
}

#undef JSON_OBJECT
#undef JSON_ARRAY
#undef JSON_STRING
#undef JSON_INTEGER
#undef JSON_REAL
#undef JSON_TRUE
#undef JSON_FALSE
#undef JSON_NULL
#undef json_is_object
#undef json_is_array
#undef json_is_string
#undef json_is_integer
#undef json_is_real
#undef json_is_number
#undef json_is_true
#undef json_is_null

#endif
