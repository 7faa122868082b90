// Package inttest is the Go part of test ring 3: the public packages against real
// servers and foreign readers. It is a module of its own, never released, so that
// what it needs reaches no user's module graph.
//
// scripts/realtools.sh provisions the components into a cache, where [Tool] and
// [Python] find them. A test whose component is absent skips and says how to get
// it; with REQUIRE_REAL=1 that skip is a failure.
//
// The servers are processes of their own on ports of 127.0.0.1, started by the
// test that needs them and stopped at its end; when the test process is killed
// they end with it.
package inttest
