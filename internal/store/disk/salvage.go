package disk

// Damage is something that was found damaged.
type Damage struct {
	What string // in a sentence
	Kept string // where what was found lies now
}

func (s *Store) salvage(err error) error { return err }
