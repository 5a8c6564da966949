package rule

import (
	"fmt"
	"sort"
	"strings"
)

// Severity tells an error (the item does not take effect) from a warning (it does).
type Severity uint8

// The severities.
const (
	SeverityError Severity = iota
	SeverityWarning
)

// String gives "error" or "warning".
func (s Severity) String() string {
	if s == SeverityWarning {
		return "warning"
	}
	return "error"
}

// Diagnostic codes. The names are Falco's, so that existing tooling keeps working.
const (
	CodeFileRead          = "LOAD_ERR_FILE_READ"
	CodeYAMLParse         = "LOAD_ERR_YAML_PARSE"
	CodeYAMLValidate      = "LOAD_ERR_YAML_VALIDATE"
	CodeCompileCondition  = "LOAD_ERR_COMPILE_CONDITION"
	CodeCompileOutput     = "LOAD_ERR_COMPILE_OUTPUT"
	CodeValidate          = "LOAD_ERR_VALIDATE"
	CodeExtension         = "LOAD_ERR_EXTENSION"
	CodeUnknownSource     = "LOAD_UNKNOWN_SOURCE"
	CodeUnsafeNACheck     = "LOAD_UNSAFE_NA_CHECK"
	CodeNoEvttype         = "LOAD_NO_EVTTYPE"
	CodeUnknownFilter     = "LOAD_UNKNOWN_FILTER"
	CodeUnusedMacro       = "LOAD_UNUSED_MACRO"
	CodeUnusedList        = "LOAD_UNUSED_LIST"
	CodeUnknownItem       = "LOAD_UNKNOWN_ITEM"
	CodeDeprecatedItem    = "LOAD_DEPRECATED_ITEM"
	CodeWarnExtension     = "LOAD_WARNING_EXTENSION"
	CodeAppendNoValues    = "LOAD_APPEND_NO_VALUES"
	CodeExceptionNotUniq  = "LOAD_EXCEPTION_NAME_NOT_UNIQUE"
	CodeInvalidMacroName  = "LOAD_INVALID_MACRO_NAME"
	CodeInvalidListName   = "LOAD_INVALID_LIST_NAME"
	CodeWarnCompileFilter = "LOAD_COMPILE_CONDITION"
	CodeUnknownKey        = "LOAD_UNKNOWN_KEY"
)

// Diagnostic is one thing wrong with a rule file, at a place, with a way out.
type Diagnostic struct {
	Severity Severity
	Code     string // one of the Code constants
	File     string
	Line     int    // from 1; 0 when the whole file is meant
	Col      int    // from 1, in bytes; 0 when unknown
	Item     string // e.g. `rule "Terminal shell"`; "" when the file as a whole is meant
	Message  string
	Remedy   string // what to do; may be empty
}

// Error makes a Diagnostic usable as an error.
func (d Diagnostic) Error() string { return d.String() }

// String gives one line: place: severity: [item: ]message [(remedy)] [code].
func (d Diagnostic) String() string {
	var b strings.Builder
	b.WriteString(Place{File: d.File, Line: d.Line, Col: d.Col}.String())
	fmt.Fprintf(&b, ": %s: ", d.Severity)
	if d.Item != "" {
		b.WriteString(d.Item + ": ")
	}
	b.WriteString(d.Message)
	if d.Remedy != "" {
		b.WriteString("; " + d.Remedy)
	}
	fmt.Fprintf(&b, " [%s]", d.Code)
	return b.String()
}

// HasErrors says whether any diagnostic is an error.
func HasErrors(ds []Diagnostic) bool {
	for _, d := range ds {
		if d.Severity == SeverityError {
			return true
		}
	}
	return false
}

// SortDiagnostics orders by line and column inside each file, keeping the files
// in the order given; files not named there follow in order of appearance.
func SortDiagnostics(ds []Diagnostic, files ...File) {
	order := make(map[string]int, len(files))
	for _, f := range files {
		if _, ok := order[f.Name]; !ok {
			order[f.Name] = len(order)
		}
	}
	for _, d := range ds {
		if _, ok := order[d.File]; !ok {
			order[d.File] = len(order)
		}
	}
	sort.SliceStable(ds, func(i, j int) bool {
		a, b := ds[i], ds[j]
		if a.File != b.File {
			return order[a.File] < order[b.File]
		}
		if a.Line != b.Line {
			return a.Line < b.Line
		}
		return a.Col < b.Col
	})
}
