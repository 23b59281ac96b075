package digest

// Text describes the type that h is for, the same for no other.
func (h *Hasher) Text() string { return string(h.prefix[len(version) : len(h.prefix)-1]) }
