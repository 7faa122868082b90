// Package ecs writes log/slog records in the shape of the Elastic Common Schema,
// one JSON object a line, so that Filebeat or an agent takes them to the Elastic
// stack without a pipeline.
//
//	log := slog.New(ecs.NewHandler(os.Stdout, &ecs.Options{Service: "fraud", Dataset: "fraud.monitor"}))
//	log.LogAttrs(ctx, ecs.Level(report), report.String(), ecs.Event(report)...)
//
// Attributes whose name is one of the schema's ("event.id", "http.request.method",
// or a group "event") stay where they are; all others become texts below labels,
// with underscores for dots, so that they cannot make a mapping explode. An error
// under the name "error" or "err" becomes error.message and error.type.
//
// It links the standard library only.
package ecs
