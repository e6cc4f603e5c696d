/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads a program's options from four places, weakest first: defaults, file,
 * environment, flags. Each place is read completely before the next, so that
 * a mistake is reported even where a stronger source would hide it. An empty
 * environment variable counts as not set (container tools pass those).
 */
#include <stdio.h>
#include <stdlib.h>

#include "common/cfg.h"
#include "common/cfg_value.h"
#include "common/io.h"

#define CFG_FILE_MAX  (1 << 20)
#define CFG_ENV_MAX   128
#define CFG_WHERE_MAX 256

struct cfg_reader {
	const struct cfg_table *t;
	void *config;
	struct error *e;
};

/* The option that name (of a flag or a line of the file) means; NAME-file of
 * a secret sets *is_file. */
static const struct cfg_option *
cfg_find(const struct cfg_table *t, struct str name, bool *is_file)
{
	size_t i;

	*is_file = false;
	for (i = 0; i < t->n_options; i++)
		if (str_eqz(name, t->options[i].name))
			return &t->options[i];
	if (!str_ends(name, STR("-file")))
		return NULL;
	name.len -= 5;
	*is_file = true;
	for (i = 0; i < t->n_options; i++)
		if (t->options[i].type == CFG_SECRET &&
		    str_eqz(name, t->options[i].name))
			return &t->options[i];
	return NULL;
}

static int
cfg_store(struct cfg_reader *r, const struct cfg_option *o, bool is_file,
    struct str value, const char *where)
{
	if (is_file)
		return cfg_value_set_file(o, r->config, value, where, r->e);
	return cfg_value_set(o, r->config, value, where, r->e);
}

static int
cfg_defaults(struct cfg_reader *r)
{
	size_t i;

	for (i = 0; i < r->t->n_options; i++) {
		const struct cfg_option *o = &r->t->options[i];
		struct str def = str_of(o->def ? o->def : "");
		int rc;

		if (def.len == 0 && !cfg_value_is_text(o->type))
			continue;
		rc = cfg_value_set(o, r->config, def, "default", r->e);
		if (rc != 0)
			return rc;
	}
	return 0;
}

/* One line of the file; seen[] tells which options came before. */
static int
cfg_line(struct cfg_reader *r, struct str line, const char *where, bool *seen)
{
	const struct cfg_option *o;
	struct str name, value;
	bool is_file;

	line = str_trim(line);
	if (line.len == 0 || line.p[0] == '#')
		return 0;
	if (!str_cut(line, '=', &name, &value))
		return err_set(
		    r->e, ERR_INVALID, "%s: expected \"name = value\"", where);
	name = str_trim(name);
	o = cfg_find(r->t, name, &is_file);
	if (name.len > 64)
		name.len = 64;
	if (o == NULL)
		return err_set(r->e, ERR_INVALID, "%s: unknown option \"%.*s\"",
		    where, STR_ARG(name));
	if (seen[o - r->t->options])
		return err_set_field(r->e, ERR_INVALID, o->name,
		    "%s: %s is set twice", where, o->name);
	seen[o - r->t->options] = true;
	return cfg_store(r, o, is_file, str_trim(value), where);
}

int
cfg_parse_text(const struct cfg_table *t, void *config, struct str text,
    const char *path, struct error *e)
{
	struct cfg_reader r = {t, config, e};
	char where[CFG_WHERE_MAX];
	bool *seen = NULL;
	bool more = true;
	unsigned n = 0;
	int rc = 0;

	if (!str_is_utf8(text) || str_find(text, '\0') >= 0)
		return err_set(e, ERR_INVALID, "%s: not a UTF-8 text", path);
	seen = calloc(t->n_options + 1, sizeof(*seen));
	if (seen == NULL)
		return err_set(e, ERR_NOMEM, "%s: out of memory", path);
	while (rc == 0 && more) {
		struct str line;

		more = str_cut(text, '\n', &line, &text);
		if (str_ends(line, STR("\r")))
			line.len--;
		(void)snprintf(where, sizeof(where), "%s:%u", path, ++n);
		rc = cfg_line(&r, line, where, seen);
	}
	free(seen);
	return rc;
}

static int
cfg_file(struct cfg_reader *r, const char *path)
{
	struct buf text;
	int rc;

	buf_init(&text, CFG_FILE_MAX);
	rc = io_read_file(io_system(), path, &text, r->e);
	if (rc == 0)
		rc =
		    cfg_parse_text(r->t, r->config, buf_str(&text), path, r->e);
	else
		(void)err_wrap(r->e, "configuration file");
	buf_release(&text);
	return rc;
}

/* "data-listen" -> "HEADGATE_DATA_LISTEN" + suffix. */
static void
cfg_env_name(const char *name, const char *suffix, char dst[CFG_ENV_MAX])
{
	int n = snprintf(dst, CFG_ENV_MAX, "HEADGATE_%s%s", name, suffix);
	char *p;

	MUST(n > 0 && n < CFG_ENV_MAX);
	for (p = dst; *p != '\0'; p++) {
		if (*p == '-')
			*p = '_';
		else if (*p >= 'a' && *p <= 'z')
			*p = (char)(*p - 'a' + 'A');
	}
}

/* Value of a variable in envp; NULL when not set or empty. */
static const char *
cfg_getenv(char *const *envp, const char *name)
{
	size_t n = strlen(name);

	for (; envp != NULL && *envp != NULL; envp++)
		if (strncmp(*envp, name, n) == 0 && (*envp)[n] == '=')
			return (*envp)[n + 1] ? *envp + n + 1 : NULL;
	return NULL;
}

static int
cfg_env_one(struct cfg_reader *r, char *const *envp, const struct cfg_option *o,
    bool is_file)
{
	char name[CFG_ENV_MAX], where[CFG_WHERE_MAX];
	const char *value;

	cfg_env_name(o->name, is_file ? "_FILE" : "", name);
	value = cfg_getenv(envp, name);
	if (value == NULL)
		return 0;
	(void)snprintf(where, sizeof(where), "environment %s", name);
	return cfg_store(r, o, is_file, str_of(value), where);
}

static int
cfg_env(struct cfg_reader *r, char *const *envp)
{
	size_t i;
	int rc;

	for (i = 0; i < r->t->n_options; i++) {
		const struct cfg_option *o = &r->t->options[i];

		if (o->type == CFG_SECRET) {
			rc = cfg_env_one(r, envp, o, true);
			if (rc != 0)
				return rc;
		}
		rc = cfg_env_one(r, envp, o, false);
		if (rc != 0)
			return rc;
	}
	return 0;
}

/* A command line cut into flags. */
struct cfg_flag {
	struct str name;  /* without dashes; empty for a plain argument */
	struct str value; /* p is NULL when there is no "=value" */
	char *plain;	  /* the argument if it is no flag */
};

/* Next argument at *i; false at the end. all_plain is set after "--". */
static bool
cfg_next_flag(
    int argc, char *const *argv, int *i, bool *all_plain, struct cfg_flag *f)
{
	char *arg;

	if (*i < argc && !*all_plain && strcmp(argv[*i], "--") == 0) {
		*all_plain = true;
		++*i;
	}
	if (*i >= argc)
		return false;
	arg = argv[(*i)++];
	*f = (struct cfg_flag){.plain = arg};
	if (*all_plain || arg[0] != '-' || arg[1] == '\0')
		return true;
	f->plain = NULL;
	if (!str_cut(str_of(arg), '=', &f->name, &f->value))
		f->value = STR_NULL;
	if (str_starts(f->name, STR("--")))
		f->name = str_make(f->name.p + 2, f->name.len - 2);
	return true;
}

/* The argument that belongs to f: "=value" or the next one. */
static int
cfg_flag_value(struct cfg_flag *f, const struct cfg_option *o, bool is_file,
    int argc, char *const *argv, int *i, struct error *e)
{
	if (f->value.p != NULL)
		return 0;
	if (o != NULL && o->type == CFG_BOOL && !is_file) {
		f->value = STR("true");
		return 0;
	}
	if (*i >= argc)
		return err_set_field(e, ERR_USAGE, o ? o->name : "config",
		    "--%.*s needs a value", STR_ARG(f->name));
	f->value = str_of(argv[(*i)++]);
	return 0;
}

/* Walk argv. With store false only --config is looked for (into *file), and
 * what is wrong is left to the second walk. */
static int
cfg_flags(struct cfg_reader *r, int argc, char *const *argv, bool store,
    const char **file, char **rest, size_t *n_rest)
{
	char where[CFG_WHERE_MAX];
	bool all_plain = false;
	struct cfg_flag f;
	int i = 1;

	while (cfg_next_flag(argc, argv, &i, &all_plain, &f)) {
		bool is_file = false, is_config;
		const struct cfg_option *o;
		int rc;

		if (f.plain != NULL) {
			if (store)
				rest[(*n_rest)++] = f.plain;
			continue;
		}
		is_config = str_eqz(f.name, "config");
		o = cfg_find(r->t, f.name, &is_file);
		if (o == NULL && !is_config) {
			f.name.len = f.name.len > 64 ? 64 : f.name.len;
			return err_set(r->e, ERR_USAGE,
			    "unknown option --%.*s (see --help)",
			    STR_ARG(f.name));
		}
		rc = cfg_flag_value(&f, o, is_file, argc, argv, &i, r->e);
		if (rc != 0)
			return rc;
		if (is_config)
			*file = f.value.p; /* the end of an argument */
		if (!store || is_config)
			continue;
		(void)snprintf(
		    where, sizeof(where), "flag --%.*s", STR_ARG(f.name));
		rc = cfg_store(r, o, is_file, f.value, where);
		if (rc != 0)
			return rc;
	}
	return 0;
}

int
cfg_parse(const struct cfg_table *t, void *config, int argc, char *const *argv,
    char *const *envp, char **rest, size_t *n_rest, struct error *e)
{
	struct error local = {0};
	struct cfg_reader r = {t, config, e ? e : &local};
	const char *file = cfg_getenv(envp, "HEADGATE_CONFIG");
	int rc;

	*n_rest = 0;
	rc = cfg_flags(&r, argc, argv, false, &file, rest, n_rest);
	if (rc != 0)
		goto out;
	rc = cfg_defaults(&r);
	if (rc == 0 && file != NULL && *file != '\0')
		rc = cfg_file(&r, file);
	if (rc == 0)
		rc = cfg_env(&r, envp);
	if (rc == 0)
		rc = cfg_flags(&r, argc, argv, true, &file, rest, n_rest);
out:
	if (rc != 0)
		cfg_release(t, config);
	return rc;
}

void
cfg_release(const struct cfg_table *t, void *config)
{
	size_t i;

	for (i = 0; i < t->n_options; i++)
		cfg_value_release(&t->options[i], config);
}

bool
cfg_wants(int argc, char *const *argv, const char *flag)
{
	int i;

	for (i = 1; i < argc && strcmp(argv[i], "--") != 0; i++)
		if (strcmp(argv[i], flag) == 0)
			return true;
	return false;
}
