package mlflow

// RouteInfo is a row of the route table.
type RouteInfo struct{ Method, Path, Verb string }

// Routes returns the route table.
func (h *Handler) Routes() []RouteInfo {
	list := make([]RouteInfo, 0, len(h.table))
	for i := range h.table {
		list = append(list, RouteInfo{h.table[i].method, h.table[i].path, string(h.table[i].verb)})
	}
	return list
}

// SetQuick sets the size from which files are copied in the background.
func (h *Handler) SetQuick(n int64) { h.quick = n }
