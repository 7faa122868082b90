package main

import "github.com/millwright-ml/millwright/internal/bench/rivals"

// server is one of the two, with what the seed made.
type server struct {
	*rivals.Server
	experiment string
	longRun    string
}
