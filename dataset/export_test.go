package dataset

// SetLayout makes files small enough for tests to have several.
func (c *Catalog) SetLayout(groupRows, groupBytes, fileBytes int64) {
	c.layout = layout{groupRows, groupBytes, fileBytes}
}
