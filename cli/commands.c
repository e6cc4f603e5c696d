/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The command table: parser, help and shell completion all come from it.
 */
#include "cli/cli.h"

#define F_MESSAGE                                                           \
	{                                                                   \
		"message", 'm', "TEXT", "why; kept with the config version" \
	}
#define F_LIMIT                                   \
	{                                         \
		"limit", 0, "N", "show at most N" \
	}
#define F_END                       \
	{                           \
		NULL, 0, NULL, NULL \
	}

#define F_VALUE                                                                \
	{                                                                      \
		"value", 0, "VALUE", "of a budget for each value: whose money" \
	}

static const struct cli_flag f_none[] = {F_END};
static const struct cli_flag f_value[] = {F_VALUE, F_END};
static const struct cli_flag f_message[] = {F_MESSAGE, F_END};
static const struct cli_flag f_limit[] = {F_LIMIT, F_END};
static const struct cli_flag f_periods[] = {F_LIMIT, F_VALUE, F_END};
static const struct cli_flag f_pages[] = {
    {"all", 0, NULL, "every page"}, F_LIMIT, F_END};
static const struct cli_flag f_login[] = {
    {"name", 0, "NAME", "name of the context (default: default)"}, F_END};
static const struct cli_flag f_get[] = {
    {"tenant", 0, "NAME", "only what belongs to this tenant"}, F_END};
static const struct cli_flag f_apply[] = {
    {"filename", 'f', "PATH", "folder, file, or - for standard input"},
    {"dry-run", 0, NULL, "show the difference, write nothing"},
    {"prune", 0, NULL, "delete what the files no longer name"}, F_MESSAGE,
    F_END};
#define F_CATALOG                                                         \
	{"catalog-dir", 0, "DIR",                                         \
	    "catalogue (default: the one that came "                      \
	    "with the program)"},                                         \
	{                                                                 \
		"provider", 0, "NAME", "only the models of this provider" \
	}
static const struct cli_flag f_catalog[] = {F_CATALOG, F_END};
static const struct cli_flag f_catalog_diff[] = {
    F_CATALOG, {"models", 0, "A,B", "only these models"}, F_END};
static const struct cli_flag f_catalog_import[] = {F_CATALOG,
    {"models", 0, "A,B", "only these models"},
    {"dry-run", 0, NULL, "show the difference, write nothing"},
    {"force", 0, NULL, "overwrite models that were changed by hand too"},
    F_MESSAGE, F_END};
static const struct cli_flag f_key[] = {
    {"routes", 0, "A,B", "only these routes (default: all of the project)"},
    {"expires", 0, "WHEN", "30m, 12h, 90d, or an RFC 3339 time"},
    {"display-name", 0, "TEXT", "what people see"}, F_END};
static const struct cli_flag f_agent_token[] = {
    {"group", 0, "NAME", "agent group (default: default)"},
    {"region", 0, "NAME", "region of the agents"},
    {"labels", 0, "K=V,...", "labels of the agents"},
    {"expires", 0, "TIME", "how long it may be used: 1h, 7d"},
    {"max-uses", 0, "N", "how many agents may join with it"}, F_END};
static const struct cli_flag f_chargeback[] = {
    {"month", 0, "YYYY-MM", "a calendar month (UTC)"},
    {"from", 0, "TIME", "start, inclusive"},
    {"to", 0, "TIME", "end, exclusive"},
    {"by", 0, "A,B", "tenant, team, project, key, model"},
    {"tenant", 0, "NAME", "only this tenant"}, F_END};
static const struct cli_flag f_usage[] = {
    {"from", 0, "TIME", "start, inclusive"},
    {"to", 0, "TIME", "end, exclusive"},
    {"tenant", 0, "NAME", "only this tenant"},
    {"project", 0, "NAME", "only this project"},
    {"key", 0, "NAME", "only this key"},
    {"user", 0, "USER", "only this end user"},
    {"tag", 0, "NAME=VALUE", "only requests with this tag"},
    {"request-id", 0, "UUID", "only this request"},
    {"all", 0, NULL, "every page"}, F_LIMIT, F_END};
static const struct cli_flag f_quarantine[] = {
    {"agent", 0, "ID", "only what this agent sent"},
    {"all", 0, NULL, "every page"}, F_LIMIT, F_END};
static const struct cli_flag f_correct[] = {
    {"reason", 0, "TEXT", "kept with each correction"}, F_END};
static const struct cli_flag f_increase[] = {
    {"until", 0, "TIME", "first instant without it (required)"}, F_VALUE,
    {"reason", 0, "TEXT", "kept for good (required)"}, F_END};
static const struct cli_flag f_doubt[] = {
    {"reason", 0, "TEXT", "the evidence, kept for good (required)"},
    {"period-start", 0, "TIME", "of the lease (default: current period)"},
    F_VALUE, F_END};
static const struct cli_flag f_version_show[] = {
    {"rollout", 0, NULL, "which agent acknowledged it, and how"}, F_END};
static const struct cli_flag f_admin_token[] = {
    {"role", 0, "ROLE", "owner, admin, finance or viewer (default)"},
    {"expires-at", 0, "TIME", "RFC 3339"}, F_END};

static const struct cli_flag f_audit_money[] = {
    {"run", 0, NULL, "reconcile now (default: show the latest run)"},
    {"from", 0, "DAY", "first day to reconcile (default: all)"},
    {"to", 0, "DAY", "end, exclusive"},
    {"tenant", 0, "NAME", "reconcile only this tenant"},
    {"limit", 0, "N", "show at most N findings (default 100)"}, F_END};

const struct cli_cmd cli_commands[] = {
    {"login", "URL", "Check a token and keep it as a context",
	"headgate login http://127.0.0.1:7400 --token-file owner.token\n"
	"headgate login https://headgate.example.com --name prod",
	f_login, 1, 1, true, cmd_login},
    {"whoami", "", "Show whose token is in use", NULL, f_none, 0, 0, false,
	cmd_whoami},
    {"context list", "", "List the contexts", NULL, f_none, 0, 0, true,
	cmd_context_list},
    {"context use", "NAME", "Make a context the current one",
	"headgate context use prod", f_none, 1, 1, true, cmd_context_use},
    {"context delete", "NAME", "Forget a context", NULL, f_none, 1, 1, true,
	cmd_context_delete},
    {"get", "KIND [NAME]", "List resources of a kind, or one",
	"headgate get tenants\nheadgate get keys --tenant acme\n"
	"headgate get budget acme.monthly -o json",
	f_get, 1, 2, false, cmd_get},
    {"describe", "KIND NAME", "Show every field of a resource",
	"headgate describe route gpt-4o-mini", f_none, 2, 2, false,
	cmd_describe},
    {"create", "KIND NAME [FIELD=VALUE]...", "Create a resource",
	"headgate create tenant acme display_name='Acme Corp'\n"
	"headgate create budget acme.monthly scope=acme limit_usd=500 "
	"period=month mode=hard",
	f_message, 2, CLI_MAX_POS, false, cmd_create},
    {"set", "KIND NAME FIELD=VALUE...", "Change fields of a resource",
	"headgate set budget acme.monthly limit_usd=750 -m 'Q4 launch'\n"
	"headgate set provider openai credential=\"$OPENAI_API_KEY\"",
	f_message, 3, CLI_MAX_POS, false, cmd_set},
    {"delete", "KIND NAME", "Delete a resource",
	"headgate delete key acme.research.chat.old", f_message, 2, 2, false,
	cmd_delete},
    {"apply", "-f DIR", "Make the configuration what YAML files say",
	"headgate apply -f examples/acme --dry-run\n"
	"headgate apply -f examples/acme -m 'new project'",
	f_apply, 0, 1, false, cmd_apply},
    {"catalog list", "[FILE|DIR]", "List the models of the catalogue",
	"headgate catalog list --provider anthropic", f_catalog, 0, 1, true,
	cmd_catalog_list},
    {"catalog diff", "[FILE|DIR]",
	"Compare the catalogue with the control plane",
	"headgate catalog diff --provider openai", f_catalog_diff, 0, 1, false,
	cmd_catalog_diff},
    {"catalog import", "[FILE|DIR]",
	"Create or update models from the catalogue",
	"headgate catalog import --provider anthropic --dry-run\n"
	"headgate catalog import --models gpt-5.4,gpt-5.4-mini\n"
	"headgate catalog import my-prices.yaml -m 'prices of our contract'",
	f_catalog_import, 0, 1, false, cmd_catalog_import},
    {"key create", "NAME", "Create a virtual key; shows its secret once",
	"headgate key create acme.research.chat.ci --expires 90d", f_key, 1, 1,
	false, cmd_key_create},
    {"key revoke", "NAME", "Stop a key on all agents within a second",
	"headgate key revoke acme.research.chat.ci -m 'leaked'", f_message, 1,
	1, false, cmd_key_revoke},
    {"agent list", "", "List agents: version, state, lag", NULL, f_none, 0, 0,
	false, cmd_agent_list},
    {"agent describe", "ID", "Show one agent", NULL, f_none, 1, 1, false,
	cmd_agent_describe},
    {"agent token", "", "Make a join token for new agents",
	"headgate agent token --group eu --region eu-central --expires 1h",
	f_agent_token, 0, 0, false, cmd_agent_token},
    {"agent revoke", "ID", "Refuse an agent from now on", NULL, f_none, 1, 1,
	false, cmd_agent_revoke},
    {"budget status", "NAME", "Show limit, spend and leases of a budget",
	"headgate budget status acme.monthly\n"
	"headgate budget status acme.per-user --value alice",
	f_value, 1, 1, false, cmd_budget_status},
    {"budget values", "NAME",
	"What each value of a budget for each value spent, most first",
	"headgate budget values acme.per-user", f_pages, 1, 1, false,
	cmd_budget_values},
    {"budget periods", "NAME", "What each period spent and carried over",
	"headgate budget periods acme.monthly", f_periods, 1, 1, false,
	cmd_budget_periods},
    {"budget events", "[NAME]",
	"List thresholds and forecasts that were noticed",
	"headgate budget events\nheadgate budget events acme.monthly", f_limit,
	0, 1, false, cmd_budget_events},
    {"budget increase", "NAME USD", "Raise the limit of a budget for a time",
	"headgate budget increase acme.monthly 200 --until 2027-01-01 "
	"--reason 'launch week'",
	f_increase, 2, 2, false, cmd_budget_increase},
    {"budget transfer", "NAME TO USD",
	"Move free money of the current period to another budget",
	"headgate budget transfer acme.research acme.sales 50 "
	"--reason 'agreed with both'",
	f_correct, 3, 3, false, cmd_budget_transfer},
    {"budget doubt", "NAME [AGENT BOOT-EPOCH] release|book",
	"Decide about rights that a vanished agent may have spent",
	"headgate budget status acme.monthly -o json\n"
	"headgate budget doubt acme.monthly 0197a6e0-... 3 book "
	"--reason 'host lost power, provider bill shows it'",
	f_doubt, 2, 4, false, cmd_budget_doubt},
    {"report chargeback", "--month YYYY-MM", "Who spent what",
	"headgate report chargeback --month 2026-11\n"
	"headgate report chargeback --month 2026-11 --by tenant,model -o csv",
	f_chargeback, 0, 0, false, cmd_report_chargeback},
    {"usage list", "", "List usage records",
	"headgate usage list --tenant acme --limit 20\n"
	"headgate usage list --request-id 0197a6e0-...",
	f_usage, 0, 0, false, cmd_usage_list},
    {"usage quarantine", "", "List records that cannot be right, and why", NULL,
	f_quarantine, 0, 0, false, cmd_usage_quarantine},
    {"usage correct", "BILL.json", "Correct estimated records from a bill",
	"headgate usage correct bill.json --reason 'openai 2026-11'", f_correct,
	1, 1, false, cmd_usage_correct},
    {"version list", "", "List config versions", NULL, f_limit, 0, 0, false,
	cmd_version_list},
    {"version show", "VERSION", "Show one config version",
	"headgate version show 12 --rollout", f_version_show, 1, 1, false,
	cmd_version_show},
    {"version diff", "[FROM] TO", "What changed between versions",
	"headgate version diff 12\nheadgate version diff 7 12", f_none, 1, 2,
	false, cmd_version_diff},
    {"version rollback", "VERSION", "New version with an old content",
	"headgate version rollback 11 -m 'bad price'", f_message, 1, 1, false,
	cmd_version_rollback},
    {"audit money", "",
	"Do usage, ledger, sums, budgets and leases agree? Exit status 1: no",
	"headgate audit money\nheadgate audit money --run\n"
	"headgate audit money --run --from 2026-11-01 --to 2026-12-01 "
	"--tenant acme",
	f_audit_money, 0, 0, false, cmd_audit_money},
    {"audit list", "", "Who changed what", NULL, f_limit, 0, 0, false,
	cmd_audit_list},
    {"admin-token create", "NAME", "Make an admin token; shown once",
	"headgate admin-token create finance-export --role finance",
	f_admin_token, 1, 1, false, cmd_admin_token_create},
    {"admin-token list", "", "List admin tokens", NULL, f_none, 0, 0, false,
	cmd_admin_token_list},
    {"admin-token delete", "ID", "Delete an admin token", NULL, f_none, 1, 1,
	false, cmd_admin_token_delete},
    {"completion", "SHELL", "Print completion for bash, zsh or fish",
	"headgate completion bash > /etc/bash_completion.d/headgate", f_none, 1,
	1, true, cmd_completion},
    {"help", "[COMMAND]", "Explain a command", NULL, f_none, 0, 3, true,
	cmd_help_command},
};
const size_t n_cli_commands = sizeof(cli_commands) / sizeof(cli_commands[0]);
