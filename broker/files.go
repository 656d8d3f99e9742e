package broker

// spareFiles is the most that the rest of the process needs of the files that it
// may open: the tables of the store, its log, configuration, bridges, http_dir.
const spareFiles = 400

// connections is how many there may be, 0 for no limit: each is an open file, and
// clients must not take those that the store needs.
func (c *Config) connections(files uint64) int {
	if files == 0 || files >= 1<<31 { // none, or not known
		return c.MaxConnections
	}
	spare := min(64+files/4, spareFiles)
	most := int(files - min(spare, files-files/4))
	if c.MaxConnections > 0 {
		most = min(most, c.MaxConnections)
	}
	return most
}
