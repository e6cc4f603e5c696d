/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Checking a request against the table of carry_table.c, remembering what was
 * dropped, and writing the table for docs/API.md.
 */
#include "agent/dialect/carry.h"

#include <stdio.h>
#include <string.h>

#include "agent/dialect/ir.h"

static const char *const carry_client_names[CARRY_N_CLIENTS] = {
    "OpenAI chat", "OpenAI responses", "Anthropic", "Gemini"};
static const char *const carry_provider_names[CARRY_N_PROVIDERS] = {
    "OpenAI", "Anthropic", "Gemini", "Bedrock", "Cohere", "Ollama"};

/* The name as it may stand in a header: names come from clients. */
static size_t
carry_clean(const char *field, char *dst, size_t cap)
{
	size_t i;

	for (i = 0; field[i] != '\0' && i + 1 < cap; i++)
		dst[i] = field[i] > ' ' && field[i] < 0x7f && field[i] != ','
			     ? field[i]
			     : '?';
	dst[i] = '\0';
	return i;
}

static bool
carry_lost_has(const struct carry_lost *l, const char *name, size_t n)
{
	const char *p = l->text;
	size_t len;

	while (*p != '\0') {
		len = strcspn(p, ",");
		if (len == n && memcmp(p, name, n) == 0)
			return true;
		p += len;
		p += strspn(p, ", ");
	}
	return false;
}

void
carry_lost_add(struct carry_lost *l, const char *field)
{
	char name[128];
	size_t at, n;

	if (l == NULL || field == NULL)
		return;
	n = carry_clean(field, name, sizeof(name));
	if (n == 0 || carry_lost_has(l, name, n))
		return;
	l->n++;
	at = strlen(l->text);
	if (at + n + 3 > sizeof(l->text))
		return; /* n says that there are more */
	(void)snprintf(l->text + at, sizeof(l->text) - at, "%s%s",
	    at > 0 ? ", " : "", name);
}

int
carry_refuse(const char *field, const char *what, bool lenient,
    struct carry_lost *lost, struct error *e)
{
	if (lenient) {
		carry_lost_add(lost, field);
		return 0;
	}
	return err_set_field(e, ERR_INVALID, field,
	    "'%s' cannot be carried to the provider of this model: %s", field,
	    what);
}

static int
carry_apply(const struct carry_row *row, const char *field, enum carry_client c,
    enum carry_provider p, bool lenient, struct carry_lost *lost,
    struct error *e)
{
	const struct carry_cell *cell = &row->cells[p];
	char what[160];

	if (field == NULL)
		field = row->names[c] != NULL ? row->names[c] : row->feature;
	if (cell->how == CARRY_DROP)
		carry_lost_add(lost, field);
	if (cell->how != CARRY_NO)
		return 0;
	(void)snprintf(what, sizeof(what), "%s has no %s%s%s",
	    carry_provider_names[p], row->feature,
	    cell->note != NULL ? ": " : "",
	    cell->note != NULL ? cell->note : "");
	return carry_refuse(field, what, lenient, lost, e);
}

const char *
carry_field(const char *feature, enum carry_client c)
{
	unsigned i;

	for (i = 0; i < carry_n_rows; i++) {
		if (strcmp(carry_rows[i].feature, feature) == 0 &&
		    carry_rows[i].names[c] != NULL)
			return carry_rows[i].names[c];
	}
	return feature;
}

static unsigned
carry_of_media(const struct ir_part *p)
{
	bool detail;

	switch (p->type) {
	case IR_IMAGE:
		detail = p->detail.len > 0 && !str_eqz(p->detail, "auto");
		return (detail ? 1u << CARRY_IMAGE_DETAIL : 0) |
		       1u << (p->url.len > 0	   ? CARRY_IMAGE_URL
			      : p->file_id.len > 0 ? CARRY_IMAGE_FILE
						   : CARRY_IMAGE_DATA);
	case IR_DOCUMENT:
		return 1u << (p->url.len > 0	   ? CARRY_DOCUMENT_URL
			      : p->file_id.len > 0 ? CARRY_DOCUMENT_FILE
						   : CARRY_DOCUMENT_DATA);
	case IR_AUDIO:
		return 1u << CARRY_AUDIO;
	case IR_VIDEO:
		return 1u << CARRY_VIDEO;
	default:
		return 0;
	}
}

unsigned
carry_of_part(const struct ir_part *p, bool in_result)
{
	unsigned f = carry_of_media(p);

	if (p->cache != IR_CACHE_NONE)
		f |= 1u << CARRY_CACHE;
	switch (p->type) {
	case IR_IMAGE:
		return f | (in_result ? 1u << CARRY_RESULT_IMAGE : 0);
	case IR_DOCUMENT:
		return f | (in_result ? 1u << CARRY_RESULT_DOCUMENT : 0);
	case IR_THINKING:
		return f | 1u << CARRY_THINKING;
	case IR_REDACTED:
		return f | 1u << CARRY_REDACTED;
	case IR_REFUSAL:
		return f | 1u << CARRY_REFUSAL;
	case IR_TOOL_RESULT:
		f |= 1u << CARRY_TOOL_RESULT;
		if (p->is_error)
			f |= 1u << CARRY_RESULT_ERROR;
		if (p->result_json.len > 0)
			f |= 1u << CARRY_RESULT_JSON;
		return f;
	case IR_TOOL_CALL:
		f |= 1u << CARRY_TOOL_CALL;
		break;
	default:
		break;
	}
	if (p->signature.len > 0)
		f |= 1u << CARRY_SIGNATURE;
	return f;
}

bool
carry_takes_part(
    const struct ir_part *part, bool in_result, enum carry_provider p)
{
	unsigned f = carry_of_part(part, in_result), i;

	for (i = 0; i < CARRY_N_PART_FEATURES; i++) {
		if ((f & 1u << i) && carry_rows[i].cells[p].how == CARRY_NO)
			return false;
	}
	return true;
}

/* What one walk over the messages looks for. */
struct carry_walk {
	enum carry_client client;
	enum carry_provider provider;
	bool lenient;
	unsigned interesting; /* features that are refused or listed */
	struct carry_lost *lost;
	struct error *e;
};

static int
carry_features(struct carry_walk *w, unsigned features, const char *field)
{
	unsigned i;
	int rc = 0;

	features &= w->interesting;
	for (i = 0; features != 0 && rc == 0; i++, features >>= 1) {
		if (features & 1)
			rc = carry_apply(&carry_rows[i],
			    carry_rows[i].cells[w->provider].how == CARRY_NO
				? field
				: NULL,
			    w->client, w->provider, w->lenient, w->lost, w->e);
	}
	return rc;
}

static int
carry_parts(struct carry_walk *w, const struct ir_part *p, bool in_result)
{
	const struct ir_part *sub;
	int rc = 0;

	for (; p != NULL && rc == 0; p = p->next) {
		rc = carry_features(w, carry_of_part(p, in_result), p->field);
		if (p->type != IR_TOOL_RESULT)
			continue;
		for (sub = p->parts; sub != NULL && rc == 0; sub = sub->next)
			rc = carry_features(w, carry_of_part(sub, true),
			    sub->field ? sub->field : p->field);
	}
	return rc;
}

int
carry_check(const struct ir_request *r, enum carry_client c,
    enum carry_provider p, bool lenient, struct carry_lost *lost,
    struct error *e)
{
	struct carry_walk w = {c, p, lenient, 0, lost, e};
	const struct ir_message *m;
	const char *field;
	char what[96];
	unsigned i;
	int rc = 0;

	for (i = 0; i < CARRY_N_PART_FEATURES; i++) {
		if (carry_rows[i].cells[p].how >= CARRY_DROP)
			w.interesting |= 1u << i;
	}
	(void)snprintf(what, sizeof(what),
	    "it has no counterpart in other dialects (%s)",
	    carry_provider_names[p]);
	for (i = 0; i < r->n_others && rc == 0; i++)
		rc = carry_refuse(r->others[i], what, lenient, lost, e);
	for (i = 0; i < carry_n_rows && rc == 0; i++) {
		field = NULL;
		if (carry_rows[i].asks != NULL && carry_rows[i].asks(r, &field))
			rc = carry_apply(
			    &carry_rows[i], field, c, p, lenient, lost, e);
	}
	for (m = r->messages; m != NULL && rc == 0; m = m->next) {
		if (m->name.len > 0)
			rc = carry_features(&w, 1u << CARRY_NAME, NULL);
		if (rc == 0)
			rc = carry_parts(&w, m->parts, false);
	}
	return rc;
}

/* ---- documentation ---- */

static void
carry_write_names(struct buf *out, const struct carry_row *row)
{
	bool any = false;
	unsigned i;

	for (i = 0; i < CARRY_N_CLIENTS; i++) {
		if (i > 0 && row->names[i] != NULL &&
		    row->names[i - 1] != NULL &&
		    strcmp(row->names[i], row->names[i - 1]) == 0)
			continue;
		if (row->names[i] == NULL)
			continue;
		(void)buf_addf(out, "%s`%s`", any ? ", " : "", row->names[i]);
		any = true;
	}
}

static void
carry_write_cell(struct buf *out, const struct carry_cell *cell)
{
	static const char *const words[] = {
	    [CARRY_YES] = "yes",
	    [CARRY_NEAR] = "near",
	    [CARRY_DROP] = "hint",
	    [CARRY_NO] = "**no**",
	};

	(void)buf_addf(out, " | %s", words[cell->how]);
	if (cell->note != NULL)
		(void)buf_addf(out, ": %s", cell->note);
}

int
carry_write_markdown(struct buf *out)
{
	unsigned i, p;

	(void)buf_addz(out, "| feature | fields (");
	for (i = 0; i < CARRY_N_CLIENTS; i++)
		(void)buf_addf(
		    out, "%s%s", i ? ", " : "", carry_client_names[i]);
	(void)buf_addz(out, ")");
	for (p = 0; p < CARRY_N_PROVIDERS; p++)
		(void)buf_addf(out, " | to %s", carry_provider_names[p]);
	(void)buf_addz(out, " |\n|---|---|");
	for (p = 0; p < CARRY_N_PROVIDERS; p++)
		(void)buf_addz(out, "---|");
	(void)buf_addc(out, '\n');
	for (i = 0; i < carry_n_rows; i++) {
		(void)buf_addf(out, "| %s | ", carry_rows[i].feature);
		carry_write_names(out, &carry_rows[i]);
		for (p = 0; p < CARRY_N_PROVIDERS; p++)
			carry_write_cell(out, &carry_rows[i].cells[p]);
		(void)buf_addz(out, " |\n");
	}
	(void)buf_addz(
	    out, "\n| reasoning effort | thinking tokens |\n|---|---|\n");
	for (i = IR_EFFORT_NONE; i <= IR_EFFORT_MAX; i++)
		(void)buf_addf(out, "| %s | %lld |\n",
		    ir_effort_name((enum ir_effort)i),
		    (long long)ir_effort_budget((enum ir_effort)i));
	return buf_error(out);
}
