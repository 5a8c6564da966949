package inventory

import "errors"

// ErrUnknownKind is wrapped by what Decode returns for an object of a kind that is not kept.
var ErrUnknownKind = errors.New("kind is not kept")

// Decode reduces the JSON of one Kubernetes object, of whatever version, to what is kept of it.
func Decode(doc []byte) (*Object, error) { return nil, ErrUnknownKind }

// DecodeList decodes the items of a list (PodList, List…) or, for a document that is no
// list, the document, one by one; yield returning false ends it. It returns an error
// when the document itself cannot be read.
func DecodeList(doc []byte, yield func(*Object, error) bool) error { return nil }
