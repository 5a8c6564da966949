package match

// What tests outside of the package look at.
var (
	CompareFast  = compareFast
	ParseVersion = func(text, order string) error { _, err := parseVersion(text, order); return err }
)
