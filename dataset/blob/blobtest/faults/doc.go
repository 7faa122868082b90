// Package faults wraps a [blob.Store] with everything that goes wrong in
// practice, for tests of what is built on stores: writes that time out after
// they happened, 409, 412 and 503, bodies that break off or come slowly, damaged
// bytes, clocks that are wrong, and a store that ignores conditions.
//
//	s := faults.New(new(blob.Mem), nil)
//	s.Inject(faults.Rule{Op: faults.Create, Key: "_delta_log/", Fault: faults.LostReply()})
//	…
//	s.Inject(faults.Rule{Op: faults.Get, Key: ".parquet", Skip: 2, Times: -1, Fault: faults.Truncate(100)})
//
// [Store.Shake] fails calls at random from a seed, for model tests. Options.Before
// is a door at every call: a test that kills a process at each step of an
// operation exits there.
//
// What the wrapped store has beyond [blob.Store], the wrapper has too, with the
// same faults. The package links the standard library only.
package faults
