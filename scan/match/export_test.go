package match

// CompareFast is for tests outside of the package.
var CompareFast = compareFast
