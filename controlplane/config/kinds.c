/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table of kinds. Adding a field here is all that REST, validation and
 * the OpenAPI description need; what agents get is decided by the bundle.
 */
#include "common/money.h"
#include "common/tags.h"
#include "controlplane/config/kinds.h"

static const char *const values_dialect[] = {"openai", "azure", "anthropic",
    "gemini", "vertex", "bedrock", "mistral", "cohere", "ollama", NULL};
static const char *const values_auth[] = {"api-key", "bearer", "sigv4", NULL};
static const char *const values_rejects[] = {"stream_options",
    "max_completion_tokens", "developer", "parallel_tool_calls", "json_schema",
    "seed", "logprobs", "reasoning_effort", "service_tier", "strict", "user",
    "responses", NULL};
static const char *const values_disconnect[] = {"abort", "drain", NULL};
static const char *const values_capability[] = {"chat", "embeddings", "tools",
    "json_schema", "vision", "completions", "moderations", "images", "audio",
    "rerank", "responses", "documents", "reasoning", "audio_input", NULL};
static const char *const values_priority[] = {
    "critical", "standard", "batch", NULL};
static const char *const values_across[] = {"fleet", "agent", NULL};
static const char *const values_mode[] = {"hard", "bounded", "soft", NULL};
static const char *const values_period[] = {"day", "week", "month", "quarter",
    "year", "rolling", "once", "unlimited", NULL};
static const char *const values_class[] = {
#define X(e, num, name, text) name,
    TOKEN_CLASS_TABLE(X)
#undef X
	NULL};

#define N(a) (sizeof(a) / sizeof((a)[0]))

#define F_DISPLAY_NAME                                                 \
	{                                                              \
		.name = "display_name", .type = FT_STRING, .max = 200, \
		.help = "Text for people.", .example = "\"Acme Ltd\""  \
	}
#define F_DISABLED                                                   \
	{                                                            \
		.name = "disabled", .type = FT_BOOL, .def = "false", \
		.help = "True refuses all requests below this item." \
	}
#define F_ROUTES                                                              \
	{                                                                     \
		.name = "routes", .type = FT_REFS, .min = 1, .max = 1000,     \
		.ref = KIND_ROUTE,                                            \
		.help = "Routes that may be used; absent means all that the " \
			"parent may use.",                                    \
		.example = "[\"gpt-4o-mini\"]"                                \
	}

#define F_PRIORITY                                                             \
	{                                                                      \
		.name = "priority", .type = FT_ENUM,                           \
		.values = values_priority,                                     \
		.help = "Who goes first when deployments have no free place; " \
			"absent means as the parent, at the top standard.",    \
		.example = "\"standard\""                                      \
	}

static const struct field_def fields_owner[] = {
    F_DISPLAY_NAME, F_DISABLED, F_ROUTES, F_PRIORITY};

static const struct field_def fields_project[] = {F_DISPLAY_NAME, F_DISABLED,
    F_ROUTES, F_PRIORITY,
    {.name = "cost_center",
	.type = FT_STRING,
	.max = 100,
	.help = "Account that finance books the cost to.",
	.example = "\"CC-1042\""}};

static const struct field_def fields_key[] = {F_DISPLAY_NAME, F_DISABLED,
    F_ROUTES, F_PRIORITY,
    {.name = "expires_at",
	.type = FT_TIME,
	.help = "Instant from which the key is refused.",
	.example = "\"2027-01-01T00:00:00Z\""},
    {.name = "value",
	.type = FT_STRING,
	.flags = FF_WRITE_ONLY,
	.min = 40,
	.max = 200,
	.help = "A key value of your own (hg-...); absent makes a random one.",
	.example = "\"hg-0123456789abcdefghijklmnopqrstuvwxyzABCDEFG\""},
    {.name = "prefix",
	.type = FT_STRING,
	.flags = FF_READ_ONLY,
	.max = 8,
	.help = "First characters of the key after hg-, to recognise it.",
	.example = "\"k3J9xQ2a\""},
    {.name = "digest",
	.type = FT_STRING,
	.flags = FF_INTERNAL,
	.max = 64,
	.help = "SHA-256 of the key, hexadecimal."}};

/* They belong together, as what is asked for does. */
#define EXAMPLE_PEM                                                           \
	"\"-----BEGIN CERTIFICATE-----\\n"                                    \
	"MIHNMIGAAgEBMAUGAytlcDASMRAwDgYDVQQDDAdnYXRld2F5MCAXDTI2MTEyMjE4\\n" \
	"NTQyOVoYDzIxMjYxMDI5MTg1NDI5WjASMRAwDgYDVQQDDAdnYXRld2F5MCowBQYD\\n" \
	"K2VwAyEA6lZTK7LVuZpjGeUN3Epwba66WHFBZDBeKLyQzjbJwiowBQYDK2VwA0EA\\n" \
	"GDiY9CEsucqFA1eizOyrnhKJ+QBW+EyYt68IW9OgToaRQgupn6Zc9MRdvICch4/L\\n" \
	"8IicltbAxkKOuBvaBJXAAA==\\n"                                         \
	"-----END CERTIFICATE-----\\n\""
#define EXAMPLE_KEY                                                           \
	"\"-----BEGIN PRIVATE KEY-----\\n"                                    \
	"MC4CAQAwBQYDK2VwBCIEIPQrD2ExJsuzKtkiPjdx02yuc8Wb40/cWaL8+ylJZbJE\\n" \
	"-----END PRIVATE KEY-----\\n\""

static const struct field_def fields_provider[] = {
    {.name = "dialect",
	.type = FT_ENUM,
	.flags = FF_REQUIRED,
	.values = values_dialect,
	.help = "Wire format that the provider speaks.",
	.example = "\"openai\""},
    {.name = "base_url",
	.type = FT_URL,
	.max = 1000,
	.help = "Address: scheme, host, optional port and path prefix; absent "
		"means the provider's public address.",
	.example = "\"https://api.openai.com/v1\""},
    {.name = "credential",
	.type = FT_SECRET,
	.flags = FF_WRITE_ONLY,
	.min = 1,
	.max = 8192,
	.help = "Secret that agents present to the provider; kept encrypted. "
		"bedrock: JSON with access_key_id, secret_access_key and "
		"session_token; vertex: the JSON of a service account.",
	.example = "\"sk-provider-key\""},
    {.name = "headers",
	.type = FT_MAP,
	.max = 32,
	.help = "Headers added to every request to the provider.",
	.example = "{\"openai-organization\": \"org-acme\"}"},
    {.name = "auth",
	.type = FT_ENUM,
	.values = values_auth,
	.help = "How the credential is presented; absent means the way that "
		"is usual for the dialect.",
	.example = "\"bearer\""},
    {.name = "region",
	.type = FT_STRING,
	.min = 1,
	.max = 64,
	.help = "Region of a bedrock, location of a vertex provider.",
	.example = "\"eu-central-1\""},
    {.name = "project",
	.type = FT_STRING,
	.min = 1,
	.max = 64,
	.help = "Project of a vertex provider.",
	.example = "\"acme-prod\""},
    {.name = "api_version",
	.type = FT_STRING,
	.min = 1,
	.max = 32,
	.help = "azure: a date asks for the classic paths, absent for v1; "
		"gemini, vertex: version in the path; anthropic: version "
		"header.",
	.example = "\"2024-10-21\""},
    {.name = "rejects",
	.type = FT_ENUMS,
	.max = 12,
	.values = values_rejects,
	.help = "What an OpenAI-compatible provider does not take.",
	.example = "[\"stream_options\", \"developer\"]"},
    {.name = "ca_pem",
	.type = FT_PEM,
	.max = 65536,
	.help = "Certificates of private authorities, instead of the "
		"system's.",
	.example = EXAMPLE_PEM},
    {.name = "client_cert_pem",
	.type = FT_PEM,
	.max = 32768,
	.help = "Client certificate, with its chain, for the provider.",
	.example = EXAMPLE_PEM},
    {.name = "client_key",
	.type = FT_PEM,
	.flags = FF_WRITE_ONLY,
	.max = 16384,
	.help = "Private key of the client certificate; kept encrypted.",
	.example = EXAMPLE_KEY},
    {.name = "proxy_url",
	.type = FT_URL,
	.max = 300,
	.help = "HTTP proxy on the way to the provider; absent means none.",
	.example = "\"http://proxy.example:3128\""},
    {.name = "max_connections",
	.type = FT_INT,
	.min = 1,
	.max = 4096,
	.help = "Connections that one worker of an agent keeps open for "
		"reuse; absent means its default.",
	.example = "64"},
    {.name = "credential_version",
	.type = FT_INT,
	.flags = FF_READ_ONLY,
	.max = INT64_MAX,
	.help = "Number of the credential in use; 0 means none is set.",
	.example = "1"},
    {.name = "client_key_version",
	.type = FT_INT,
	.flags = FF_READ_ONLY,
	.max = INT64_MAX,
	.help = "Number of the client key in use; absent means none is set.",
	.example = "2"}};

static const struct field_def fields_price[] = {
    {.name = "class",
	.type = FT_ENUM,
	.flags = FF_REQUIRED,
	.values = values_class,
	.help = "Token class that the line prices.",
	.example = "\"input\""},
    {.name = "usd_per_mtok",
	.type = FT_MONEY,
	.flags = FF_REQUIRED,
	.max = INT64_C(1000000) * INT64_C(1000000000),
	.help = "USD per million tokens, or other units of the class, as a "
		"decimal string.",
	.example = "\"0.15\""},
    {.name = "from",
	.type = FT_TIME,
	.help = "First instant of the price; absent means always.",
	.example = "\"2026-01-01T00:00:00Z\""},
    {.name = "to",
	.type = FT_TIME,
	.help = "First instant after the price; absent means open.",
	.example = "\"2027-01-01T00:00:00Z\""},
    {.name = "tier",
	.type = FT_STRING,
	.min = 1,
	.max = 23,
	.help = "Service tier that the price is for, as answers name it "
		"(priority, flex, batch ...); absent means standard.",
	.example = "\"priority\""},
    {.name = "above_tokens",
	.type = FT_INT,
	.max = 1000000000,
	.help = "The price holds when the whole input has more tokens than "
		"this; absent means always.",
	.example = "200000"}};

static const struct field_def fields_model[] = {
    {.name = "context_tokens",
	.type = FT_INT,
	.max = 1000000000,
	.def = "0",
	.help = "Size of the context window in tokens; 0 means unknown.",
	.example = "128000"},
    {.name = "max_output_tokens",
	.type = FT_INT,
	.max = 1000000000,
	.def = "0",
	.help = "Most tokens of one answer; 0 means unknown.",
	.example = "16384"},
    {.name = "max_request_usd",
	.type = FT_MONEY,
	.max = INT64_C(1000000) * INT64_C(1000000000),
	.help = "What a request costs at most whose own text and caps do not "
		"say so: tools that the provider runs, media and stored "
		"context of unknown size, no cap on the output. Hard budgets "
		"reserve it; absent means the context window, and that "
		"requests which even this does not bound are refused.",
	.example = "\"2.50\""},
    {.name = "tokenizer",
	.type = FT_TOKENS,
	.max = 32,
	.help =
	    "How tokens are counted where the provider does not say: o200k, "
	    "cl100k, or bytes:N for N bytes a token.",
	.example = "\"o200k\""},
    {.name = "capabilities",
	.type = FT_ENUMS,
	.max = 14,
	.def = "[\"chat\"]",
	.values = values_capability,
	.help = "What the model can do.",
	.example = "[\"chat\", \"tools\"]"},
    {.name = "prices",
	.type = FT_OBJECTS,
	.max = 500,
	.def = "[]",
	.sub = fields_price,
	.n_sub = N(fields_price),
	.help = "Effective-dated unit prices: at most one at a time for a "
		"class, tier and size. A model needs one for input without "
		"tier and above_tokens, and one for output if it chats; 0 is "
		"a price.",
	.example = "[{\"class\": \"input\", \"usd_per_mtok\": \"0.15\"},"
		   " {\"class\": \"output\", \"usd_per_mtok\": \"0.60\"}]"},
    {.name = "catalog",
	.type = FT_STRING,
	.max = 120,
	.help = "Provider, date and fingerprint of the catalogue entry that "
		"the model was imported from; set by headgate catalog import.",
	.example = "\"openai 2026-11-22 0123456789abcdef\""}};

#define F_TIMEOUT(n, d, h)                                                     \
	{                                                                      \
		.name = n, .type = FT_INT, .min = 1, .max = 3600000, .def = d, \
		.help = h, .example = d                                        \
	}

static const struct field_def fields_deployment[] = {
    {.name = "model",
	.type = FT_REF,
	.flags = FF_REQUIRED,
	.ref = KIND_MODEL,
	.help = "Model that is served.",
	.example = "\"gpt-4o-mini\""},
    {.name = "provider",
	.type = FT_REF,
	.flags = FF_REQUIRED,
	.ref = KIND_PROVIDER,
	.help = "Provider that serves it.",
	.example = "\"openai\""},
    {.name = "upstream_model",
	.type = FT_STRING,
	.flags = FF_REQUIRED,
	.min = 1,
	.max = 200,
	.help = "Model name that the provider is asked for.",
	.example = "\"gpt-4o-mini-2024-07-18\""},
    {.name = "region",
	.type = FT_STRING,
	.max = 64,
	.help = "Where the deployment runs.",
	.example = "\"eu-west-1\""},
    {.name = "agent_groups",
	.type = FT_STRINGS,
	.min = 1,
	.max = 100,
	.help = "Agent groups that may use it; absent means all.",
	.example = "[\"eu\"]"},
    {.name = "max_concurrency",
	.type = FT_INT,
	.max = 1000000,
	.def = "0",
	.help = "Most requests at once from one agent; 0 means no limit.",
	.example = "200"},
    F_TIMEOUT("connect_timeout_ms", "5000", "Longest time to connect."),
    F_TIMEOUT("first_byte_timeout_ms", "120000",
	"Longest wait for the first byte of the answer."),
    F_TIMEOUT("idle_timeout_ms", "60000",
	"Longest gap between two parts of an answer."),
    {.name = "no_stream_options",
	.type = FT_BOOL,
	.def = "false",
	.help = "True when the provider rejects stream_options."}};

static const struct field_def fields_target[] = {
    {.name = "deployment",
	.type = FT_REF,
	.flags = FF_REQUIRED,
	.ref = KIND_DEPLOYMENT,
	.help = "Deployment to send to.",
	.example = "\"gpt-4o-mini-eu\""},
    {.name = "priority",
	.type = FT_INT,
	.max = 1000,
	.def = "0",
	.help = "Lower numbers are tried first.",
	.example = "0"},
    {.name = "weight",
	.type = FT_INT,
	.min = 1,
	.max = 1000000,
	.def = "1",
	.help = "Share of the requests among equal priorities.",
	.example = "1"}};

static const struct field_def fields_route[] = {
    {.name = "targets",
	.type = FT_OBJECTS,
	.flags = FF_REQUIRED,
	.min = 1,
	.max = 64, /* ROUTE_MAX_TARGETS of the agent */
	.sub = fields_target,
	.n_sub = N(fields_target),
	.help = "Where requests for this model name go.",
	.example = "[{\"deployment\": \"gpt-4o-mini-eu\", \"priority\": 0,"
		   " \"weight\": 1}]"},
    {.name = "owned_by",
	.type = FT_STRING,
	.max = 100,
	.help = "Owner shown in the model list.",
	.example = "\"openai\""},
    {.name = "description",
	.type = FT_STRING,
	.max = 1000,
	.help = "Text for people.",
	.example = "\"Small and cheap chat model\""},
    {.name = "lenient",
	.type = FT_BOOL,
	.help = "True drops what a translation to the provider cannot carry "
		"instead of refusing the request; absent means false.",
	.example = "false"},
    {.name = "on_disconnect",
	.type = FT_ENUM,
	.values = values_disconnect,
	.help = "When a client leaves during its answer: abort the call "
		"(the default) or drain it to its end for an exact bill.",
	.example = "\"drain\""},
    {.name = "drain_max_ms",
	.type = FT_INT,
	.min = 1,
	.max = 3600000,
	.help = "Longest time to drain; absent means 30000.",
	.example = "30000"},
    {.name = "drain_max_tokens",
	.type = FT_INT,
	.max = 1000000000,
	.help = "Most output tokens to drain; absent or 0 means no bound.",
	.example = "4096"},
    {.name = "drain_max_concurrent",
	.type = FT_INT,
	.min = 1,
	.max = 100000,
	.help = "Most answers that one agent drains at once; absent means 64.",
	.example = "64"}};

#define F_SCOPE                                                          \
	{                                                                \
		.name = "scope", .type = FT_SCOPE, .flags = FF_REQUIRED, \
		.help = "Tenant, team, project or key that it covers.",  \
		.example = "\"acme.research\""                           \
	}

static const struct field_def fields_budget[] = {F_SCOPE,
    {.name = "model",
	.type = FT_REF,
	.ref = KIND_MODEL,
	.help = "Only requests that this model serves count; absent means "
		"all."},
    {.name = "provider",
	.type = FT_REF,
	.ref = KIND_PROVIDER,
	.help = "Only requests that this provider serves count; absent means "
		"all."},
    {.name = "route",
	.type = FT_REF,
	.ref = KIND_ROUTE,
	.help = "Only requests for this route count; absent means all."},
    {.name = "user",
	.type = FT_USER,
	.help = "Only requests of this end user count, whom the header "
		"x-headgate-user or the body names; absent means all.",
	.example = "\"alice\""},
    {.name = "tags",
	.type = FT_TAGS,
	.max = TAGS_MAX,
	.help = "Only requests count whose header x-headgate-tags has all of "
		"these tags; absent means all.",
	.example = "{\"feature\": \"search\"}"},
    {.name = "each",
	.type = FT_STRING,
	.min = 4,
	.max = 4 + TAGS_NAME_MAX,
	.help = "Every value has the limit for itself: user (each end user) or "
		"tag:NAME (each value of the tag); requests without one share "
		"it. Fixed when the budget is made; absent means that all "
		"requests share the limit.",
	.example = "\"tag:customer\""},
    {.name = "max_values",
	.type = FT_INT,
	.min = 1,
	.max = 1000000,
	.help = "With each: so many values are counted, requests with further "
		"ones are refused; absent means 10000."},
    {.name = "limit_usd",
	.type = FT_MONEY,
	.max = INT64_C(1000000000) * INT64_C(1000000000),
	.help = "Money for one period, as a decimal string; required unless "
		"the period is unlimited.",
	.example = "\"500.00\""},
    {.name = "mode",
	.type = FT_ENUM,
	.values = values_mode,
	.def = "\"hard\"",
	.help = "Hard refuses requests at the limit; bounded too, but gives "
		"rights of vanished agents back by time, up to overspend_usd; "
		"soft only reports.",
	.example = "\"hard\""},
    {.name = "overspend_usd",
	.type = FT_MONEY,
	.max = INT64_C(1000000000) * INT64_C(1000000000),
	.help = "The most by which a bounded budget may be exceeded in a "
		"period; required for it."},
    {.name = "period",
	.type = FT_ENUM,
	.flags = FF_REQUIRED,
	.values = values_period,
	.help = "What the limit is for: a calendar period, a rolling window "
		"of hours, once for all; unlimited only counts.",
	.example = "\"month\""},
    {.name = "time_zone",
	.type = FT_ZONE,
	.max = 64,
	.def = "\"UTC\"",
	.help = "IANA time zone in which periods begin.",
	.example = "\"Europe/Berlin\""},
    {.name = "thresholds",
	.type = FT_PERCENTS,
	.min = 1,
	.max = 10,
	.help = "Percentages of the limit that raise an event when they are "
		"spent.",
	.example = "[50, 80, 100]"},
    {.name = "forecast",
	.type = FT_BOOL,
	.help = "True raises an event when the limit will be exceeded by the "
		"end of the period at the rate so far.",
	.example = "true"},
    {.name = "carry_over_usd",
	.type = FT_MONEY,
	.max = INT64_C(1000000) * INT64_C(1000000000),
	.help = "What a closed period did not spend is added to the limit of "
		"the next one, at most this much; absent means nothing is, "
		"unless carry_over_percent is there.",
	.example = "\"100.00\""},
    {.name = "carry_over_percent",
	.type = FT_INT,
	.min = 1,
	.max = 100,
	.help = "Likewise, at most this part of the configured limit; with "
		"both the smaller one holds."},
    {.name = "carry_over_days",
	.type = FT_INT,
	.min = 1,
	.max = 366,
	.help = "What was carried over and is not spent so many days after "
		"the period began is taken away; absent means at its end."},
    {.name = "anchor_day",
	.type = FT_INT,
	.min = 1,
	.max = 31,
	.help = "Day on which a week (1 = Monday to 7), month, quarter or "
		"year begins; the last one of months that are shorter.",
	.example = "15"},
    {.name = "anchor_month",
	.type = FT_INT,
	.min = 1,
	.max = 12,
	.help = "Month in which a year or a quarter begins."},
    {.name = "anchor_time",
	.type = FT_CLOCK,
	.help = "Local time at which calendar periods begin; absent means "
		"midnight.",
	.example = "\"06:00\""},
    {.name = "rolling_hours",
	.type = FT_INT,
	.min = 1,
	.max = 8784,
	.help = "Length of a rolling window. What was spent comes back up to "
		"a 24th of it later than that."},
    {.name = "from",
	.type = FT_TIME,
	.help = "First instant of a once period; nothing may be spent before."},
    {.name = "to",
	.type = FT_TIME,
	.help = "First instant after a once period; nothing may be spent "
		"from then on."}};

#define F_RATE(n, h, ex)                                                  \
	{                                                                 \
		.name = n, .type = FT_INT, .max = INT64_C(1000000000000), \
		.def = "0", .help = h, .example = ex                      \
	}

#define F_BURST(n, h, ex)                                               \
	{                                                               \
		.name = n, .type = FT_INT, .min = 1,                    \
		.max = INT64_C(1000000000000), .help = h, .example = ex \
	}

static const struct field_def fields_limit[] = {F_SCOPE,
    F_RATE(
	"requests_per_minute", "Requests a minute; 0 means no limit.", "600"),
    F_RATE("tokens_per_minute", "Tokens a minute; 0 means no limit.", "200000"),
    F_RATE("concurrency", "Requests at once; 0 means no limit.", "50"),
    F_BURST("requests_burst",
	"Requests that may come at once after a pause; absent means as many "
	"as in a minute.",
	"100"),
    F_BURST("tokens_burst",
	"Tokens that may be used at once after a pause; absent means as many "
	"as in a minute.",
	"50000"),
    {.name = "across",
	.type = FT_ENUM,
	.values = values_across,
	.help = "Fleet (the default): all agents together keep the limit; "
		"agent: each agent keeps it by itself.",
	.example = "\"fleet\""}};

#define ROW(k, n, p, t, fm, seg, par, f, ex, h) \
	[k] = {.kind = (k),                     \
	    .name = (n),                        \
	    .plural = (p),                      \
	    .title = (t),                       \
	    .help = (h),                        \
	    .form = (fm),                       \
	    .segments = (seg),                  \
	    .parent = (par),                    \
	    .fields = (f),                      \
	    .n_fields = N(f),                   \
	    .example_name = (ex)}

static const struct kind_def kinds[KIND_END] = {
    ROW(KIND_TENANT, "tenant", "tenants", "Tenant", NAME_PATH, 1, KIND_NONE,
	fields_owner, "acme", "Billing and isolation root."),
    ROW(KIND_TEAM, "team", "teams", "Team", NAME_PATH, 2, KIND_TENANT,
	fields_owner, "acme.research", "Part of a tenant."),
    ROW(KIND_PROJECT, "project", "projects", "Project", NAME_PATH, 3, KIND_TEAM,
	fields_project, "acme.research.chat",
	"Part of a team; keys belong to it."),
    ROW(KIND_KEY, "key", "keys", "Key", NAME_PATH, 4, KIND_PROJECT, fields_key,
	"acme.research.chat.ci", "Virtual key that clients present."),
    ROW(KIND_PROVIDER, "provider", "providers", "Provider", NAME_FLAT, 0,
	KIND_NONE, fields_provider, "openai",
	"Dialect, address and credential of a model provider."),
    ROW(KIND_MODEL, "model", "models", "Model", NAME_FLAT, 0, KIND_NONE,
	fields_model, "gpt-4o-mini",
	"Catalogue entry: capabilities, limits and price lines."),
    ROW(KIND_DEPLOYMENT, "deployment", "deployments", "Deployment", NAME_FLAT,
	0, KIND_NONE, fields_deployment, "gpt-4o-mini-eu",
	"A model at a provider."),
    ROW(KIND_ROUTE, "route", "routes", "Route", NAME_FLAT, 0, KIND_NONE,
	fields_route, "gpt-4o-mini",
	"Model name that clients use, with the deployments behind it."),
    ROW(KIND_BUDGET, "budget", "budgets", "Budget", NAME_SCOPED, 2, KIND_TENANT,
	fields_budget, "acme.monthly",
	"Money that a scope may spend in a period."),
    ROW(KIND_LIMIT, "limit", "limits", "Limit", NAME_SCOPED, 2, KIND_TENANT,
	fields_limit, "acme.default", "Rate limits of a scope."),
};

const struct kind_def *
kind_get(enum kind k)
{
	if (k <= KIND_NONE || k >= KIND_END)
		return NULL;
	return &kinds[k];
}

const struct kind_def *
kind_find(struct str name)
{
	int k;

	for (k = KIND_TENANT; k < KIND_END; k++)
		if (str_eqz(name, kinds[k].name))
			return &kinds[k];
	return NULL;
}

const struct kind_def *
kind_find_plural(struct str plural)
{
	int k;

	for (k = KIND_TENANT; k < KIND_END; k++)
		if (str_eqz(plural, kinds[k].plural))
			return &kinds[k];
	return NULL;
}

const struct field_def *
kind_field(const struct kind_def *k, struct str name)
{
	size_t i;

	for (i = 0; i < k->n_fields; i++)
		if (str_eqz(name, k->fields[i].name))
			return &k->fields[i];
	return NULL;
}

static bool
kind_is_alnum(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	       (c >= '0' && c <= '9');
}

static bool
kind_flat_name(struct str s)
{
	size_t i;

	if (s.len == 0 || s.len > 128 || !kind_is_alnum(s.p[0]))
		return false;
	for (i = 1; i < s.len; i++)
		if (!kind_is_alnum(s.p[i]) &&
		    (s.p[i] == '\0' || !strchr("._:@-", s.p[i])))
			return false;
	return true;
}

int
kind_check_name(const struct kind_def *k, struct str name, struct error *e)
{
	static const char *const forms[] = {"", "tenant", "tenant.team",
	    "tenant.team.project", "tenant.team.project.key"};

	if (k->form == NAME_FLAT) {
		if (kind_flat_name(name))
			return 0;
		return err_set_field(e, ERR_INVALID, "/name",
		    "a %s name has 1 to 128 letters, digits and . _ : @ -, "
		    "beginning with a letter or digit",
		    k->name);
	}
	if (name_is_valid(name, k->segments))
		return 0;
	return err_set_field(e, ERR_INVALID, "/name",
	    "a %s name has the form %s, each part 1 to 63 of a-z 0-9 and "
	    "inner hyphens",
	    k->name,
	    k->form == NAME_SCOPED ? "tenant.word" : forms[k->segments]);
}

enum kind
kind_of_scope(struct str scope)
{
	static const enum kind by_n[] = {
	    KIND_NONE, KIND_TENANT, KIND_TEAM, KIND_PROJECT, KIND_KEY};
	int n = name_segments(scope);

	return n >= 1 && n <= 4 ? by_n[n] : KIND_NONE;
}
