/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table, and matching a parsed path against it segment by segment.
 */
#include <stdio.h>
#include <string.h>

#include "controlplane/rest/handlers.h"
#include "controlplane/rest/rest.h"

#define V ROLE_VIEWER
#define F ROLE_FINANCE
#define A ROLE_ADMIN
#define O ROLE_OWNER

#define COLLECTION(p, title, one, k)                                        \
	{"GET", "/v1/" p, "list" title "s", "Items",                        \
	    "List " p ", ordered by name", items_list, V, 0,                \
	    "limit cursor tenant prefix", NULL, title "List", 200, k},      \
	{                                                                   \
		"POST", "/v1/" p, "create" title, "Items", "Create a " one, \
		    items_create, A,                                        \
		    RR_WRITE | RR_BODY | RR_IDEMPOTENT | RR_ETAG |          \
			((k) == KIND_KEY ? RR_SECRET : 0),                  \
		    "message", title "Create",                              \
		    (k) == KIND_KEY ? "KeyCreated" : title, 201, k          \
	}
#define SINGLE(p, title, one, k)                                             \
	{"GET", "/v1/" p "/{name}", "get" title, "Items", "Read a " one,     \
	    items_get, V, RR_ETAG, "", NULL, title, 200, k},                 \
	    {"PUT", "/v1/" p "/{name}", "replace" title, "Items",            \
		"Replace all fields of a " one, items_replace, A,            \
		RR_WRITE | RR_BODY | RR_IF_MATCH | RR_ETAG, "message",       \
		title "Update", title, 200, k},                              \
	    {"PATCH", "/v1/" p "/{name}", "update" title, "Items",           \
		"Change some fields of a " one " (JSON merge patch)",        \
		items_patch, A,                                              \
		RR_WRITE | RR_BODY | RR_MERGE | RR_IF_MATCH | RR_ETAG,       \
		"message", title "Patch", title, 200, k},                    \
	{                                                                    \
		"DELETE", "/v1/" p "/{name}", "delete" title, "Items",       \
		    "Delete a " one " that nothing refers to", items_delete, \
		    A, RR_WRITE | RR_IF_MATCH, "message", NULL, NULL, 204, k \
	}
#define ITEM(p, title, one, k) \
	COLLECTION(p, title, one, k), SINGLE(p, title, one, k)

/* clang-format off: one route a block, method first */
const struct rest_route rest_routes[] = {
    ITEM("tenants", "Tenant", "tenant", KIND_TENANT),
    ITEM("teams", "Team", "team", KIND_TEAM),
    ITEM("projects", "Project", "project", KIND_PROJECT),
    ITEM("keys", "Key", "key", KIND_KEY),
    ITEM("providers", "Provider", "provider", KIND_PROVIDER),
    ITEM("models", "Model", "model", KIND_MODEL),
    ITEM("deployments", "Deployment", "deployment", KIND_DEPLOYMENT),
    ITEM("routes", "Route", "route", KIND_ROUTE),
    ITEM("budgets", "Budget", "budget", KIND_BUDGET),
    ITEM("limits", "Limit", "limit", KIND_LIMIT),
    {"GET", "/v1/budgets/{name}/status", "getBudgetStatus", "Money",
	"What a budget has spent and leased in its current period",
	budget_status, F, 0, "value", NULL, "BudgetStatus", 200, KIND_BUDGET},
    {"POST", "/v1/budgets/{name}/doubt", "decideDoubt", "Money",
	"Decide about rights that a vanished agent may have spent",
	budget_doubt, A, RR_WRITE | RR_BODY | RR_IDEMPOTENT, "",
	"DoubtDecision", "DoubtResult", 200, KIND_BUDGET},
    {"POST", "/v1/budgets/{name}/increase", "increaseBudget", "Money",
	"Raise the limit of a budget until an instant", budget_increase, A,
	RR_WRITE | RR_BODY | RR_IDEMPOTENT, "", "BudgetIncrease",
	"BudgetStatus", 200, KIND_BUDGET},
    {"POST", "/v1/budgets/{name}/transfer", "transferBudget", "Money",
	"Move money of the current period to another budget", budget_transfer,
	A, RR_WRITE | RR_BODY | RR_IDEMPOTENT, "", "BudgetTransfer",
	"BudgetStatus", 200, KIND_BUDGET},
    {"GET", "/v1/budgets/{name}/events", "listBudgetEvents", "Money",
	"List a budget's thresholds and forecasts, newest first", budget_events,
	F, 0, "limit cursor", NULL, "BudgetEventList", 200, KIND_BUDGET},
    {"GET", "/v1/budgets/{name}/values", "listBudgetValues", "Money",
	"List what each value of a budget for each value spent, most first",
	budget_values, F, 0, "limit cursor", NULL, "BudgetValueList", 200,
	KIND_BUDGET},
    {"GET", "/v1/budgets/{name}/periods", "listBudgetPeriods", "Money",
	"List a budget's periods, newest first", budget_periods, F, 0,
	"limit cursor value", NULL, "BudgetPeriodList", 200, KIND_BUDGET},
    {"GET", "/v1/events", "listEvents", "Money",
	"List the events of all budgets, newest first", events_list, F, 0,
	"limit cursor", NULL, "BudgetEventList", 200, KIND_NONE},

    {"POST", "/v1/apply", "apply", "Configuration",
	"Apply a set of items as one version, all or nothing", apply_post, A,
	RR_WRITE | RR_BODY | RR_IDEMPOTENT | RR_SECRET, "", "ApplyRequest",
	"ApplyResult", 200, KIND_NONE},
    {"GET", "/v1/versions", "listVersions", "Configuration",
	"List configuration versions, newest first", versions_list, V, 0,
	"limit cursor", NULL, "VersionList", 200, KIND_NONE},
    {"GET", "/v1/versions/{version}", "getVersion", "Configuration",
	"Read a version with its changes", versions_get, V, 0, "", NULL,
	"VersionDetail", 200, KIND_NONE},
    {"GET", "/v1/versions/{version}/diff", "diffVersions", "Configuration",
	"What leads to a version from another one", versions_diff, V, 0, "from",
	NULL, "VersionDiff", 200, KIND_NONE},
    {"POST", "/v1/versions/{version}/rollback", "rollbackVersion",
	"Configuration", "Make the content of a version the newest version",
	versions_rollback, A, RR_WRITE | RR_BODY_OPT | RR_IDEMPOTENT, "",
	"RollbackRequest", "ApplyResult", 200, KIND_NONE},
    {"GET", "/v1/versions/{version}/rollout", "getRollout", "Configuration",
	"How far the agents are with a version", versions_rollout, V, 0, "",
	NULL, "Rollout", 200, KIND_NONE},

    {"GET", "/v1/agents", "listAgents", "Agents", "List agents", agents_list, V,
	0, "limit cursor", NULL, "AgentList", 200, KIND_NONE},
    {"GET", "/v1/agents/{id}", "getAgent", "Agents", "Read an agent",
	agents_get, V, 0, "", NULL, "Agent", 200, KIND_NONE},
    {"DELETE", "/v1/agents/{id}", "revokeAgent", "Agents",
	"Revoke an agent: it is refused from now on", agents_revoke, A,
	RR_WRITE, "", NULL, NULL, 204, KIND_NONE},
    {"GET", "/v1/join-tokens", "listJoinTokens", "Agents",
	"List join tokens, newest first", join_list, A, 0, "", NULL,
	"JoinTokenList", 200, KIND_NONE},
    {"POST", "/v1/join-tokens", "createJoinToken", "Agents",
	"Make a join token; its text is shown once", join_create, A,
	RR_WRITE | RR_BODY_OPT | RR_IDEMPOTENT | RR_SECRET, "",
	"JoinTokenCreate", "JoinTokenCreated", 201, KIND_NONE},
    {"DELETE", "/v1/join-tokens/{id}", "revokeJoinToken", "Agents",
	"Revoke a join token", join_revoke, A, RR_WRITE, "", NULL, NULL, 204,
	KIND_NONE},

    {"GET", "/v1/usage", "listUsage", "Money",
	"List usage records, newest first", usage_list, F, 0,
	"from to tenant project key user tag request_id limit cursor", NULL,
	"UsageList", 200, KIND_NONE},
    {"POST", "/v1/usage/corrections", "correctUsage", "Money",
	"Correct estimated usage by evidence from a provider's bill",
	usage_correct, F, RR_WRITE | RR_BODY | RR_IDEMPOTENT, "",
	"CorrectionRequest", "CorrectionResult", 200, KIND_NONE},
    {"GET", "/v1/usage/watermarks", "listWatermarks", "Money",
	"How far each agent's usage was booked", usage_watermarks, F, 0,
	"agent", NULL, "WatermarkList", 200, KIND_NONE},
    {"GET", "/v1/usage/quarantine", "listQuarantine", "Money",
	"List usage records that cannot be right, with the reason",
	usage_quarantine, F, 0, "agent limit cursor", NULL, "QuarantineList",
	200, KIND_NONE},
    {"GET", "/v1/reports/chargeback", "chargeback", "Money",
	"Cost and tokens of a period, by tenant, team, project, key, model",
	report_chargeback, F, RR_CSV, "month from to group_by tenant format",
	NULL, "Chargeback", 200, KIND_NONE},

    {"GET", "/v1/admin-tokens", "listAdminTokens", "Access",
	"List admin tokens", tokens_list, O, 0, "", NULL, "AdminTokenList", 200,
	KIND_NONE},
    {"POST", "/v1/admin-tokens", "createAdminToken", "Access",
	"Make an admin token; its text is shown once", tokens_create, O,
	RR_WRITE | RR_BODY | RR_IDEMPOTENT | RR_SECRET, "", "AdminTokenCreate",
	"AdminTokenCreated", 201, KIND_NONE},
    {"DELETE", "/v1/admin-tokens/{id}", "revokeAdminToken", "Access",
	"Revoke an admin token by id or name", tokens_revoke, O, RR_WRITE, "",
	NULL, NULL, 204, KIND_NONE},
    {"GET", "/v1/whoami", "whoami", "Access", "Who the token belongs to",
	whoami_get, V, RR_NO_DB, "", NULL, "WhoAmI", 200, KIND_NONE},
    {"GET", "/v1/audit", "listAudit", "Access",
	"List the audit log, newest first", audit_get, A, 0,
	"actor target from to limit cursor", NULL, "AuditList", 200, KIND_NONE},

    {"GET", "/v1/audit/money", "getMoneyAudit", "Money",
	"What the latest reconciliation of money found", money_audit_latest, F,
	RR_MAY_LACK, "limit", NULL, "MoneyAudit", 200, KIND_NONE},
    {"POST", "/v1/audit/money", "runMoneyAudit", "Money",
	"Reconcile money now: all of it, or some days, or one tenant",
	money_audit_post, F, RR_WRITE | RR_BODY_OPT | RR_IDEMPOTENT, "",
	"MoneyAuditRequest", "MoneyAudit", 200, KIND_NONE},

    {"GET", "/v1/openapi.json", "getOpenapi", "Health", "This description",
	openapi_get, V, RR_PUBLIC | RR_NO_DB, "", NULL, "OpenapiDocument", 200,
	KIND_NONE},
    {"GET", "/livez", "livez", "Health",
	"Is the process alive? Never looks at the database", health_live, V,
	RR_PUBLIC | RR_NO_DB | RR_TEXT, "verbose", NULL, NULL, 200, KIND_NONE},
    {"GET", "/readyz", "readyz", "Health",
	"Can requests be served? Database reachable and migrated", health_ready,
	V, RR_PUBLIC | RR_NO_DB | RR_TEXT, "verbose", NULL, NULL, 200,
	KIND_NONE},
    {"GET", "/metrics", "metrics", "Health",
	"Metrics in Prometheus text format", health_metrics, V,
	RR_PUBLIC | RR_NO_DB | RR_TEXT, "", NULL, NULL, 200, KIND_NONE},
};
/* clang-format on */
const size_t n_rest_routes = sizeof(rest_routes) / sizeof(rest_routes[0]);

static bool
router_path(const char *pattern, const struct http_request *r,
    struct str params[ROUTE_PARAMS_MAX])
{
	struct str tail = str_of(pattern + 1), head;
	size_t i = 0, n = 0;
	bool more;

	do {
		more = str_cut(tail, '/', &head, &tail);
		if (i == r->n_segments)
			return false;
		if (head.len > 0 && head.p[0] == '{') {
			MUST(n < ROUTE_PARAMS_MAX);
			params[n++] = r->segments[i];
		} else if (!str_eq(head, r->segments[i])) {
			return false;
		}
		i++;
	} while (more);
	return i == r->n_segments;
}

int
router_match(const struct http_request *r, const struct rest_route **ret,
    struct str params[ROUTE_PARAMS_MAX], char *allow, size_t cap,
    struct error *e)
{
	struct str method = str_eqz(r->method, "HEAD") ? STR("GET") : r->method;
	size_t i, n = 0;

	allow[0] = '\0';
	for (i = 0; i < n_rest_routes; i++) {
		const struct rest_route *x = &rest_routes[i];

		if (!router_path(x->pattern, r, params))
			continue;
		if (str_eqz(method, x->method)) {
			*ret = x;
			return 0;
		}
		n += (size_t)snprintf(
		    allow + n, cap - n, "%s%s", n ? ", " : "", x->method);
		MUST(n < cap);
	}
	if (n > 0)
		return err_set(e, ERR_METHOD, "use %s", allow);
	return err_set(e, ERR_NOT_FOUND, "no such resource");
}

bool
router_has_param(const struct rest_route *r, struct str name)
{
	struct str tail = str_of(r->query), head;
	bool more;

	do {
		more = str_cut(tail, ' ', &head, &tail);
		if (head.len > 0 && str_eq(head, name))
			return true;
	} while (more);
	return false;
}

int
routes_render(struct buf *out)
{
	size_t i;

	for (i = 0; i < n_rest_routes; i++) {
		const struct rest_route *r = &rest_routes[i];

		(void)buf_addf(out, "%s %s %s\n", r->method, r->pattern,
		    r->flags & RR_PUBLIC ? "-" : admin_role_name(r->role));
	}
	return buf_error(out);
}

int
routes_markdown(struct buf *out)
{
	size_t i;

	(void)buf_addz(out, "| method | path | least role | what it does |\n"
			    "|---|---|---|---|\n");
	for (i = 0; i < n_rest_routes; i++) {
		const struct rest_route *r = &rest_routes[i];

		(void)buf_addf(out, "| %s | `%s` | %s | %s |\n", r->method,
		    r->pattern,
		    r->flags & RR_PUBLIC ? "none" : admin_role_name(r->role),
		    r->summary);
	}
	return buf_error(out);
}
