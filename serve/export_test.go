package serve

// Queued returns how many requests wait in a version's batcher.
func (s *Server) Queued(name, version string) int64 {
	v, err := s.lookup(name, version)
	if err != nil || v.batcher == nil {
		return 0
	}
	v.batcher.mu.Lock()
	defer v.batcher.mu.Unlock()
	n := int64(len(v.batcher.queue))
	if v.batcher.gatherer != nil {
		n++
	}
	return n
}

// Waiting returns how many requests wait to be admitted.
func (s *Server) Waiting(name string) int64 {
	return s.table.Load().models[name].limiter.waiting.Load()
}
