package search

// text, number and ordering make fields; named sets the canonical name.
func text(o ops) field               { return field{ops: o, ordered: true} }
func number() field                  { return field{ops: numberOps, numeric: true, ordered: true} }
func orderOnly() field               { return field{ordered: true} }
func (f field) named(n string) field { f.key = n; return f }
func (f field) noOrder() field       { f.ordered = false; return f }

// Experiments is the grammar of experiments.
func Experiments() *Grammar {
	return &Grammar{
		what:     "experiments",
		entities: spellings(map[Entity][]string{Attribute: attributeNames, Tag: tagNames}),
		spaces: map[Entity]space{
			Attribute: {names: map[string]field{
				"name":             text(textOps),
				"experiment_id":    text(identityOps),
				"creation_time":    number(),
				"last_update_time": number(),
			}},
			Tag: {other: text(nullOps).noOrder()},
		},
	}
}

// Runs is the grammar of runs.
func Runs() *Grammar {
	names := map[string]field{
		"run_id":       text(listOps),
		"run_name":     text(nullOps),
		"user_id":      text(textOps),
		"status":       text(textOps),
		"artifact_uri": text(textOps),
		"start_time":   number(),
		"end_time":     number(),
	}
	for _, alias := range []string{"created", "Created"} {
		names[alias] = number().named("start_time")
	}
	for _, alias := range []string{"run name", "Run name", "Run Name"} {
		names[alias] = text(nullOps).named("run_name")
	}
	return &Grammar{
		what: "runs",
		entities: spellings(map[Entity][]string{
			Attribute: append([]string{"run"}, attributeNames...),
			Metric:    metricNames, Param: paramNames, Tag: tagNames,
			Dataset: {"dataset", "datasets"},
		}),
		spaces: map[Entity]space{
			Attribute: {names: names},
			Metric:    {other: number()},
			Param:     {other: text(nullOps)},
			Tag:       {other: text(nullOps)},
			Dataset: {names: map[string]field{
				"name":    text(listOps).noOrder(),
				"digest":  text(listOps).noOrder(),
				"context": text(listOps).noOrder(),
			}},
		},
		renamed: map[Order]Order{
			{Entity: Tag, Key: "mlflow.runName"}: {Entity: Attribute, Key: "run_name"},
		},
	}
}

// Models is the grammar of logged models.
func Models() *Grammar {
	names := map[string]field{
		"name":                   text(listOps),
		"model_id":               text(listOps),
		"model_type":             text(listOps),
		"status":                 text(listOps),
		"source_run_id":          text(listOps),
		"experiment_id":          text(listOps),
		"creation_timestamp":     number(),
		"last_updated_timestamp": number(),
	}
	for _, alias := range []string{"creation_time", "creation_timestamp_ms"} {
		names[alias] = number().named("creation_timestamp")
	}
	for _, alias := range []string{"last_updated_time", "last_updated_timestamp_ms"} {
		names[alias] = number().named("last_updated_timestamp")
	}
	return &Grammar{
		what:     "logged models",
		entities: spellings(map[Entity][]string{Attribute: attributeNames, Metric: metricNames, Param: paramNames, Tag: tagNames}),
		spaces: map[Entity]space{
			Attribute: {names: names},
			Metric:    {other: number()},
			Param:     {other: text(listOps).noOrder()},
			Tag:       {other: text(listOps).noOrder()},
		},
	}
}

// The tags that carry what traces have no field for.
const (
	TraceNameTag   = "mlflow.traceName"
	TracePromptTag = "mlflow.linkedPrompts"
)

// Traces is the grammar of traces.
func Traces() *Grammar {
	time := number()
	time.quoted = true
	names := map[string]field{
		"request_id":        text(traceTextOps),
		"trace_id":          text(traceTextOps).named("request_id"),
		"client_request_id": text(traceTextOps).noOrder(),
		"status":            text(traceTextOps),
		"experiment_id":     orderOnly(),
		"timestamp_ms":      time,
		"timestamp":         time.named("timestamp_ms"),
		"execution_time_ms": time,
		"execution_time":    time.named("execution_time_ms"),
		"end_time_ms":       time,
		"end_time":          time.named("end_time_ms"),
		"run_id":            text(traceTextOps),
		"name":              {entity: Tag, key: TraceNameTag, ops: append(ops{IsNull, IsNotNull}, traceTextOps...), ordered: true},
		"prompt":            text(ops{Equal}).noOrder(),
		"text":              {entity: Span, key: "content", ops: contentOps},
	}
	spanText := text(traceTextOps).noOrder()
	assessment := text(assessmentOps).noOrder()
	assessment.mixed = true
	return &Grammar{
		what: "traces",
		entities: spellings(map[Entity][]string{
			Attribute: append([]string{"trace"}, attributeNames...),
			Tag:       tagNames,
			Metadata:  {"metadata", "request_metadata"},
			Span:      {"span"}, Feedback: {"feedback"}, Expectation: {"expectation"}, Issue: {"issue"},
		}),
		spaces: map[Entity]space{
			Attribute: {names: names},
			Tag:       {other: text(traceTagOps)},
			Metadata:  {other: text(traceTagOps)},
			Span: {names: map[string]field{
				"name": spanText, "type": spanText, "status": spanText,
				"content": text(contentOps).noOrder(),
			}},
			SpanAttribute: {other: spanText},
			Feedback:      {other: assessment},
			Expectation:   {other: assessment},
			Issue:         {names: map[string]field{"id": text(ops{Equal}).noOrder()}},
		},
	}
}

// RegisteredModels is the grammar of registered models.
func RegisteredModels() *Grammar {
	return &Grammar{
		what:     "registered models",
		entities: spellings(map[Entity][]string{Attribute: attributeNames, Tag: tagNames}),
		spaces: map[Entity]space{
			Attribute: {names: map[string]field{
				"name":                   text(listOps),
				"creation_timestamp":     orderOnly(),
				"last_updated_timestamp": orderOnly(),
				"timestamp":              orderOnly().named("last_updated_timestamp"),
			}},
			Tag: {other: text(nullOps).noOrder()},
		},
	}
}

// ModelVersions is the grammar of versions of registered models.
func ModelVersions() *Grammar {
	version := number()
	version.quoted = true
	return &Grammar{
		what:     "model versions",
		entities: spellings(map[Entity][]string{Attribute: attributeNames, Tag: tagNames}),
		spaces: map[Entity]space{
			Attribute: {names: map[string]field{
				"name":                   text(listOps),
				"version_number":         version,
				"run_id":                 text(listOps).noOrder(),
				"source_path":            text(textOps).noOrder(),
				"creation_timestamp":     orderOnly(),
				"last_updated_timestamp": orderOnly(),
			}},
			Tag: {other: text(nullOps).noOrder()},
		},
	}
}
