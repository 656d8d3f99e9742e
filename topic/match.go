package topic

// NextLevel cuts the first level off rest. more is false when there is no separator, hence tail no further level.
// "a/" has two levels, the second of them empty.
func NextLevel[T Text](rest T) (level, tail T, more bool) {
	for i := 0; i < len(rest); i++ {
		if rest[i] == '/' {
			return rest[:i], rest[i+1:], true
		}
	}
	return rest, rest[len(rest):], false
}

// IsWildcard reports whether a level of a filter is "+" or "#".
func IsWildcard[T Text](level T) bool {
	return len(level) == 1 && (level[0] == '+' || level[0] == '#')
}

// Match reports whether filter matches name. Both must be valid. It is the reference for every faster matcher.
func Match[F, N Text](filter F, name N) bool {
	if hidden(filter, name) {
		return false
	}
	filterMore, nameMore := true, true
	for filterMore {
		var f F
		f, filter, filterMore = NextLevel(filter)
		if isLevel(f, '#') { // also matches the parent: "a/#" matches "a"
			return true
		}
		if !nameMore {
			return false
		}
		var n N
		n, name, nameMore = NextLevel(name)
		if !isLevel(f, '+') && string(f) != string(n) {
			return false
		}
	}
	return !nameMore
}

// Covers reports whether a matches every name that b matches. Both must be valid filters without $share. A
// permission for a thus includes a subscription to b.
func Covers[A, B Text](a A, b B) bool {
	if len(b) > 0 && b[0] == '$' && wild(a) { // [MQTT-4.7.2-1]: a leaves out what b is about
		return false
	}
	return covers(a, b)
}

// covers compares level by level. That is exact but for two filters: a name has at least one character, so "#" says
// the same as "+/#", and "/#" the same as "/+/#". Of these, the longer form is compared.
func covers[A, B Text](a A, b B) bool {
	aMore, bMore := true, true
	extra := string(b) == "#" || string(b) == "/#"
	for aMore {
		var la A
		la, a, aMore = NextLevel(a)
		if isLevel(la, '#') {
			return true
		}
		if !bMore {
			return false
		}
		if extra && isLevel(b, '#') {
			extra = false // stands for "+" here, and "#" is still to come
			if !isLevel(la, '+') {
				return false
			}
			continue
		}
		var lb B
		lb, b, bMore = NextLevel(b)
		if isLevel(lb, '#') {
			return false
		}
		if !isLevel(la, '+') && string(la) != string(lb) {
			return false
		}
	}
	return !bMore
}

// hidden is the $-rule: a filter that begins with a wildcard does not see names that begin with $ [MQTT-4.7.2-1].
func hidden[F, N Text](filter F, name N) bool {
	return len(name) > 0 && name[0] == '$' && wild(filter)
}

// wild reports whether a valid filter begins with a wildcard.
func wild[T Text](filter T) bool {
	return len(filter) > 0 && (filter[0] == '+' || filter[0] == '#')
}

func isLevel[T Text](level T, c byte) bool { return len(level) == 1 && level[0] == c }
