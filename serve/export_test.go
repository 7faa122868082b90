package serve

// Queued returns how many requests wait in a version's batcher.
func (s *Server) Queued(name, version string) int64 {
	v, err := s.lookup(name, version)
	if err != nil || v.batcher == nil {
		return 0
	}
	return v.batcher.waiting()
}

// Waiting returns how many requests wait to be admitted.
func (s *Server) Waiting(name string) int64 {
	return s.table.Load().models[name].limiter.waiting.Load()
}
