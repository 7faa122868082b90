package monitor

import "time"

// wake tells the folder that there is work, and starts it if need be.
func (m *Monitor) wake() {
	m.begin()
	signal(m.woken)
}

// announce tells the reporter that a window has closed.
func (m *Monitor) announce() {
	m.begin()
	signal(m.pending)
}

// begin starts the goroutines, once.
func (m *Monitor) begin() {
	m.start.Do(func() {
		m.workers.Go(m.run)
		m.workers.Go(m.reporter)
		if m.opts.Log != nil {
			m.workers.Go(m.logger)
		}
		if m.opts.Store != nil && m.opts.SaveEvery > 0 {
			m.workers.Go(m.saver)
		}
		go func() {
			m.workers.Wait()
			close(m.done)
		}()
	})
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// run is the folder: one goroutine from the first full block to Shutdown. It
// never waits for OnReport, so that the queue empties however long that takes.
func (m *Monitor) run() {
	var windows <-chan time.Time
	if m.opts.WindowTime > 0 {
		// A ticker runs on the monotonic clock: a clock that is set makes no
		// window longer or shorter.
		ticker := time.NewTicker(m.opts.WindowTime)
		defer ticker.Stop()
		windows = ticker.C
	}
	for {
		select {
		case <-m.woken:
		case <-windows:
			m.closeOnTime()
		case <-m.quit:
			return // Shutdown folds and reports what is left.
		}
		for !m.logBehind() && m.foldOne() {
		}
		for m.describeOne() {
		}
		if m.opts.WindowRows > 0 && m.left.Load() <= 0 {
			// The rest of the window is spread over the shards.
			m.foldMu.Lock()
			m.flush()
			m.foldMu.Unlock()
		}
	}
}

// closeOnTime closes the open window, which may be empty. While OnReport is
// busy and enough windows wait for it, the open one grows instead.
func (m *Monitor) closeOnTime() {
	m.foldMu.Lock()
	defer m.foldMu.Unlock()
	m.flush()
	if len(m.closing) < maxClosing {
		m.rotate()
		m.announce()
	}
}

// foldOne folds one block of the queue, false when it is empty. It gives
// foldMu back after each, so that nobody waits for a whole queue.
func (m *Monitor) foldOne() bool {
	m.foldMu.Lock()
	defer m.foldMu.Unlock()
	select {
	case b := <-m.queue:
		m.fold(b)
		return true
	default:
		return false
	}
}

// reporter reports the windows that close by themselves.
func (m *Monitor) reporter() {
	for {
		select {
		case <-m.pending:
		case <-m.quit:
			return
		}
		select {
		case m.turn <- struct{}{}:
			m.reportUntil(nil)
		case <-m.quit:
			return
		}
	}
}
