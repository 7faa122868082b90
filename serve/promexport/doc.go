// Package promexport shows what a server does to Prometheus. It takes the place
// of promhttp's instrumentation of handlers, which knows neither models nor
// versions.
//
//	exporter, err := promexport.New(server, nil)
//	registry.MustRegister(exporter)
//	http.Handle("/metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
//
// A request costs two hundred nanoseconds or so and no allocation: what it is
// counted by is looked up when its version is deployed. The names, each with the
// prefix millwright_serve_:
//
//	requests_total{model,version,code}             answered, by HTTP status; version "" for those that came to none
//	request_duration_seconds{model,version}        histogram: from the header to the encoded answer, of success and failure
//	queue_duration_seconds{model,version}          histogram: of it, waiting to be admitted and for the model
//	model_duration_seconds{model,version}          histogram: of it, in the model
//	rows_total{model,version}                      rows answered
//	request_bytes_total{model,version}             bytes of the bodies
//	response_bytes_total{model,version}            bytes of the answers
//	executions_total{model,version}                calls of the model
//	batch_rows{model,version}                      histogram: rows of a call
//	in_flight_requests{model,version}              being answered
//	waiting_requests{model,version}                of these, waiting for the model in its batcher
//	version_info{model,version,digest,platform}    always 1
//	version_default{model,version}                 1 for the version that answers when none is named
//	version_memory_bytes{model,version}            what the model says it holds
//	last_inference_timestamp_seconds{model,version}
//	admission_limit{model}                         requests that are admitted at once, just now
//	admitted_requests{model}                       those that are
//	admission_waiting_requests{model}              those that wait for it
//	refused_total{model,reason}                    capacity: the server was full; share: the tenant had more than its share
//	deployments_total{model}                       versions deployed
//	swaps_total{model}                             another version became the default
//	deploy_failures_total                          deployments that were refused
//	rollout_decisions_total{model,verdict}         promote, rollback, keep; see Exporter.Event
//	rollout_share{model,experiment,version}        part of the keys; see Exporter.Watch
//	rollout_requests{model,experiment,version}
//	rollout_harm_log_e{model,experiment,version,guard}  evidence that it is worse
//	rollout_pass_log_e{model,experiment,version,guard}  evidence that it is not
//	rollout_shadow_requests_total{model,experiment,result}  agreed, differed, failed, dropped
//
// # Cardinality
//
// The labels hold names of deployed models and their versions, statuses and
// reasons: never what a client has chosen. A request for a model that is not
// there makes no series. The series of a version go when it is gone, but for
// those of the newest that went (Options.Retain), so that the last scrape has
// all its requests.
//
// # Exemplars
//
// With Options.Exemplar a request's duration is counted together with its trace,
// so that a slow bucket of the histogram leads to a trace that fell into it.
//
// # Triton
//
// With Options.Triton the counters have Triton's names, too, so that dashboards
// and autoscalers made for it go on: nv_inference_request_success,
// nv_inference_request_failure{reason} with REJECTED, CANCELED, BACKEND and OTHER,
// nv_inference_count, which are rows, nv_inference_exec_count,
// nv_inference_pending_request_count, and the sums of the times of requests that
// succeeded, in microseconds: nv_inference_request_duration_us, _queue_,
// _compute_input_, _compute_infer_ and _compute_output_duration_us. What came to
// no version counts for the default one.
package promexport
