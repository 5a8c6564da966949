package kubeaudit

// scan is the state of a reader that looks for the end of one JSON value, fed in pieces.
// The zero value is ready. It knows the grammar but not the form of numbers and words.
type scan struct {
	state scanState
	stack []byte // '{' or '[' by depth
	n     int    // bytes read
}

type scanState uint8

const (
	wantValue scanState = iota
	wantValueOrEnd
	wantKeyOrEnd
	wantKey
	wantColon
	wantComma
	inString
	inKey
	inEscape    // of a value
	inKeyEscape // of a key
	inWord
	scanDone
)

// feed reads b on. It returns how many bytes belong to the value when it ends in b
// (done), or an error at the byte where it cannot be JSON.
func (s *scan) feed(b []byte) (n int, done bool, err error) {
	for i := 0; i < len(b); i++ {
		c := b[i]
		switch s.state {
		case inString, inKey:
			for c != '"' && c != '\\' && c >= 0x20 {
				if i++; i == len(b) {
					s.n += len(b)
					return len(b), false, nil
				}
				c = b[i]
			}
			switch {
			case c < 0x20:
				return i, false, errSyntax
			case c == '\\':
				s.state += inEscape - inString
			case s.state == inKey:
				s.state = wantColon
			default:
				if s.end() {
					return i + 1, true, nil
				}
			}
			continue
		case inEscape, inKeyEscape:
			s.state -= inEscape - inString
			continue
		case inWord:
			if wordByte(c) {
				continue
			}
			if s.end() {
				return i, true, nil
			}
		}
		if c == ' ' || c == '\n' || c == '\t' || c == '\r' {
			continue
		}
		switch s.state {
		case wantValueOrEnd, wantValue:
			switch {
			case c == ']' && s.state == wantValueOrEnd:
				if s.close() {
					return i + 1, true, nil
				}
			case c == '{':
				s.stack, s.state = append(s.stack, c), wantKeyOrEnd
			case c == '[':
				s.stack, s.state = append(s.stack, c), wantValueOrEnd
			case c == '"':
				s.state = inString
			case wordByte(c):
				s.state = inWord
			default:
				return i, false, errSyntax
			}
		case wantKeyOrEnd, wantKey:
			switch {
			case c == '"':
				s.state = inKey
			case c == '}' && s.state == wantKeyOrEnd:
				if s.close() {
					return i + 1, true, nil
				}
			default:
				return i, false, errSyntax
			}
		case wantColon:
			if c != ':' {
				return i, false, errSyntax
			}
			s.state = wantValue
		case wantComma:
			top := s.stack[len(s.stack)-1]
			switch {
			case c == ',' && top == '{':
				s.state = wantKey
			case c == ',':
				s.state = wantValue
			case c == '}' && top == '{' || c == ']' && top == '[':
				if s.close() {
					return i + 1, true, nil
				}
			default:
				return i, false, errSyntax
			}
		}
	}
	s.n += len(b)
	return len(b), false, nil
}

// end notes that a value has ended and reports whether it was the outermost.
func (s *scan) end() bool {
	if len(s.stack) == 0 {
		s.state = scanDone
		return true
	}
	s.state = wantComma
	return false
}

func (s *scan) close() bool {
	s.stack = s.stack[:len(s.stack)-1]
	return s.end()
}

func (s *scan) reset() { s.state, s.stack, s.n = wantValue, s.stack[:0], 0 }

func wordByte(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '-' || c == '+' || c == '.'
}
