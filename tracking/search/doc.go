// Package search parses the filters and orders with which MLflow searches, and
// matches single values against them. It knows no database: stores turn what
// it returns into queries.
//
//	clauses, err := search.Runs().Filter("metrics.auc > 0.9 AND tags.team = 'a'")
//	orders, err := search.Runs().Order([]string{"metrics.auc DESC", "start_time"})
//
// # Form
//
//	filter     = [ comparison { "AND" comparison } ] .
//	comparison = identifier op value | identifier op-list list | identifier "IS" [ "NOT" ] "NULL" .
//	identifier = [ entity "." ] key .              (* no entity: attribute *)
//	entity     = word | "`" word "`" .
//	key        = bare | quoted .
//	bare       = ( letter | digit | "_" | "-" | "." | "/" | ":" ) { … } .
//	quoted     = "`" text "`" | '"' text '"' | "'" text "'" .    (* "'" only after an entity *)
//	op         = "=" | "!=" | ">" | ">=" | "<" | "<=" | "LIKE" | "ILIKE" | "RLIKE" .
//	op-list    = "IN" | "NOT" "IN" .
//	value      = number | "'" text "'" | '"' text '"' .
//	list       = "(" string { "," string } [ "," ] ")" .
//	number     = [ "-" ] ( digits [ "." [ digits ] ] | "." digits ) [ ( "e" | "E" ) [ "-" | "+" ] digits ] .
//	order      = identifier [ "ASC" | "DESC" ] .
//
// AND, ASC, DESC and the operators are read in any case, entities and keys
// exactly. Blanks may stand around everything. A quote inside a quoted text is
// doubled; a backslash means nothing there. Numbers beyond the range of a
// float64 are infinite. NUL and what is not UTF-8 is refused. There is no OR
// and there are no parentheses, as in MLflow.
//
// # Keys
//
// Under N numbers with = != > >= < <=; S strings with = != LIKE ILIKE; L is S
// with IN and NOT IN; Z is S with IS NULL and IS NOT NULL; R is RLIKE. A star
// marks what may stand in an order.
//
//	Experiments       name* S, experiment_id* (= != IN NOT IN), creation_time* last_update_time* N, tags Z
//	Runs              run_id* L, run_name* Z, user_id* status* artifact_uri* S, start_time* end_time* N,
//	                  metrics* N, params* tags* Z, dataset name digest context L
//	Models            name* model_id* model_type* status* source_run_id* experiment_id* L,
//	                  creation_timestamp* last_updated_timestamp* N, metrics* N, params tags L
//	Traces            request_id* run_id* status* client_request_id LR,
//	                  timestamp_ms* execution_time_ms* end_time_ms* N, name* LRZ, prompt (=), text (LIKE ILIKE),
//	                  tags* metadata* ZR, span name type status LR, span.content (LIKE ILIKE),
//	                  span.attributes.<key> LR, feedback and expectation NZR, issue.id (=), order only: experiment_id*
//	RegisteredModels  name* L, tags Z, order only: creation_timestamp* last_updated_timestamp*
//	ModelVersions     name* L, run_id L, version_number* N, source_path S, tags Z,
//	                  order only: creation_timestamp* last_updated_timestamp*
//
// Clauses carry the keys above, whatever alias was written. Aliases: attribute,
// attributes, attr (runs: run, traces: trace); metric, metrics; param, params,
// parameter, parameters; tag, tags; dataset, datasets; metadata,
// request_metadata. Runs: created and Created for start_time, "run name", "Run
// name" and "Run Name" for run_name, tags.`mlflow.runName` for run_name. Models:
// creation_time, creation_timestamp_ms, last_updated_time,
// last_updated_timestamp_ms. Traces: timestamp, execution_time and end_time,
// trace_id for request_id; name stands for the tag [TraceNameTag], text for
// span.content. Registered models: timestamp for last_updated_timestamp. The
// times of traces and version_number take their number in quotes too.
//
// # Meaning
//
// All clauses must hold. A clause about something that an entry does not have
// is false, with != and NOT IN too; only IS NULL holds. These count as absent
// when they are empty or zero: end_time; context of a dataset; model_type and
// source_run_id; client_request_id; execution_time_ms while it is not known
// (end_time_ms is then timestamp_ms). All other attributes are there, also when
// they are empty.
//
// Metrics are compared by their latest value. NaN equals nothing, is neither
// above nor below anything and is unequal to every number. A clause about
// metrics of a logged model holds when the latest point on some dataset (of the
// chosen datasets) satisfies it, one about datasets when one input of the run
// does.
//
// Texts are compared byte by byte. In LIKE "%" is any characters and "_" is one
// character; a backslash before "%", "_" or a backslash makes it an ordinary
// one and is itself ordinary elsewhere. LIKE heeds case, ILIKE ignores that of
// A to Z and of no other letter, the same on every database. RLIKE searches
// for a regular expression of package regexp anywhere in the text.
//
// Traces: all clauses about spans must hold for one and the same span. status
// of a span is OK, ERROR or UNSET. Feedback and expectations are those that are
// valid; see [Clause.MatchAssessment]. run_id holds for the runs that a trace is
// linked to and for the one in its metadata mlflow.sourceRun; prompt for those
// in the tag [TracePromptTag], see [PromptLinked]. issue.id is the name of an
// issue assessment.
//
// # Order
//
// Keys count from the first on. Entries that have no value come last, just
// after NaN, whether ascending or descending. Texts order byte by byte,
// experiment ids as numbers. A metric of a logged model is the latest of its
// points (those of the chosen dataset) by step, then time, then value. Ties go by
// the creation time, the latest first, unless it is a key itself, and then by
// the id (name, for registered models and versions; then the version, highest
// first) in byte order; ids of experiments by size.
//
// # Differences from MLflow
//
// MLflow leaves a doubled quote doubled, and takes AND at the ends, twice, or
// not at all; its SQLite store knows no escape in LIKE. Bare keys may have "-",
// "/" and ":" here. It orders experiments of equal creation time by id
// descending when the order was given.
package search
