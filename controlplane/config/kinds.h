/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an admin can declare: one table of kinds and their fields. Validation,
 * REST, the OpenAPI description and the help of the CLI all read it, so that
 * a field is described once. The numbers of the kinds are those of the wire
 * (ItemKind of proto/headgate.proto) and of the database.
 */
#ifndef CONTROLPLANE_CONFIG_KINDS_H
#define CONTROLPLANE_CONFIG_KINDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/str.h"

enum kind {
	KIND_NONE = 0,
	KIND_TENANT = 1,
	KIND_TEAM = 2,
	KIND_PROJECT = 3,
	KIND_KEY = 4,
	KIND_PROVIDER = 5,
	KIND_MODEL = 6,
	KIND_DEPLOYMENT = 7,
	KIND_ROUTE = 8,
	KIND_BUDGET = 9,
	KIND_LIMIT = 10,
	KIND_END
};

enum field_type {
	FT_STRING, /* min..max bytes, no control characters */
	FT_BOOL,   /* true or false */
	FT_INT,	   /* min..max */
	FT_ENUM,   /* one of values */
	FT_MONEY,  /* decimal USD as a string, stored in canonical form */
	FT_TIME,   /* RFC 3339 or a date; stored as UTC with seconds */
	FT_URL,	   /* base URL of a provider */
	FT_PEM,	   /* PEM blocks, at most max bytes; LF line ends */
	FT_SECRET, /* printable text of min..max bytes, or JSON made compact */
	FT_ZONE,   /* IANA time zone name */
	FT_CLOCK,  /* time of day, HH:MM */
	FT_TOKENS, /* how tokens are counted: o200k, cl100k, bytes:RATIO */
	FT_REF,	   /* name of an item of kind ref */
	FT_SCOPE,  /* name of a tenant, team, project or key */
	FT_PERCENTS, /* min..max whole numbers of 1 to 1000, no duplicates */
	FT_STRINGS,  /* min..max short words */
	FT_ENUMS,    /* min..max of values, no duplicates */
	FT_REFS,     /* min..max names of items of kind ref, no duplicates */
	FT_MAP,	     /* at most max header names with values */
	FT_USER,     /* an end user, as callers name it: common/tags.h */
	FT_TAGS,     /* 1 to max cost-allocation tags with values */
	FT_OBJECTS   /* min..max objects made of sub */
};

enum {
	FF_REQUIRED = 1,
	FF_WRITE_ONLY = 2, /* a secret: accepted, never stored in the spec */
	FF_READ_ONLY = 4,  /* set by the control plane, shown */
	FF_INTERNAL = 8	   /* set by the control plane, never shown */
};

struct field_def {
	const char *name;
	enum field_type type;
	unsigned flags; /* FF_* */
	int64_t min, max;
	const char *def;	     /* JSON text, NULL = none */
	const char *const *values;   /* ENUM, ENUMS: ends with NULL */
	enum kind ref;		     /* REF, REFS */
	const struct field_def *sub; /* OBJECTS */
	size_t n_sub;
	const char *help;    /* one sentence */
	const char *example; /* JSON text, NULL = none */
};

enum name_form {
	NAME_PATH,  /* dot path; its parent is an item */
	NAME_FLAT,  /* letters, digits and ._:@- */
	NAME_SCOPED /* tenant.word */
};

struct kind_def {
	enum kind kind;
	const char *name;   /* "tenant" */
	const char *plural; /* "tenants" */
	const char *title;  /* "Tenant", the name of its schemas */
	const char *help;   /* one sentence */
	enum name_form form;
	int segments;	  /* of a dot path */
	enum kind parent; /* KIND_NONE = none; SCOPED: the tenant */
	const struct field_def *fields;
	size_t n_fields;
	const char *example_name;
};

/* Longest name of an item in bytes, without the NUL. */
#define KIND_NAME_MAX 255

/* The definition of kind k; NULL when k is no kind. Static, any thread. */
const struct kind_def *kind_get(enum kind k);
const struct kind_def *kind_find(struct str name);	    /* by "tenant" */
const struct kind_def *kind_find_plural(struct str plural); /* by "tenants" */
const struct field_def *kind_field(const struct kind_def *k, struct str name);

/* 0, or ERR_INVALID with a text that says the form that names of k have. */
int kind_check_name(
    const struct kind_def *k, struct str name, struct error *e) MUST_CHECK;
/* The kind of item that a scope name of 1 to 4 segments means. */
enum kind kind_of_scope(struct str scope);

#endif
