// Package alert tells others about triggers, in the two forms of Prometheus's
// Alertmanager: as its webhook does, which chat, paging and ticket systems
// understand, or as an alert that an Alertmanager itself takes, groups and
// routes.
//
//	s, err := alert.New("https://hooks.example/models", nil)
//	monitor.Options{OnReport: func(r monitor.Report) { _ = s.Send(ctx, r) }}
//
// A trigger that opens is sent as firing; when it is gone, or another version is
// watched, as resolved. Requests that fail are tried again, with the same
// Idempotency-Key, which is the trigger's key and its status: replicas that see
// the same drift send the same key, so that a receiver that knows it acts once.
// Alertmanager itself knows equal labels as one alert.
//
// It links the standard library only.
package alert
