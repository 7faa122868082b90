-- What tenants spent, a row for each day (UTC), tenant and model. The key is the
-- order of reports; its beginning is what is asked for, and what is swept.
CREATE TABLE mw_llm_cost (
	day      date NOT NULL,
	tenant   text COLLATE "C" NOT NULL,
	model    text COLLATE "C" NOT NULL,
	requests bigint NOT NULL,
	errors   bigint NOT NULL,
	input    bigint NOT NULL,
	cached   bigint NOT NULL,
	output   bigint NOT NULL,
	cost     bigint NOT NULL, -- billionths
	PRIMARY KEY (day, tenant, model)
);
